internal import CBongsuPlatform
internal import CZeroMQ
internal import Glibc

// The ZAP handler (rfc.zeromq.org/spec/27): libzmq asks it about each client before the handshake ends.
//
//   request:  version "1.0" · request id · domain · address · routing id · mechanism · credentials (CURVE: 32 bytes)
//   reply:    version "1.0" · request id · status · text · user id · metadata
//
// A REP socket answers by envelope, so requests of several I/O threads cannot be mixed up although libzmq numbers them
// all "1". The handler lives on its own thread, so neither a busy receiver delays handshakes nor a storm of handshakes
// the receiver.

/// Runs the handler of one context until the context is shut down. Owned by the context.
final class AdmissionService {
  private let thread: pthread_t

  init(context: Context, authority: any KeyAuthority) throws(TransportError) {
    let handle = try SocketHandle(context: context, kind: .reply, keepsContext: false)
    // Requests wait here during a storm; each stands for a connection that waits for its answer.
    try handle.set(ZMQ_RCVHWM, "RCVHWM", Int32(0))
    try handle.set(ZMQ_SNDHWM, "SNDHWM", Int32(0))
    try handle.set(ZMQ_LINGER, "LINGER", Int32(0))
    guard unsafe zmq_bind(handle.pointer, "inproc://zeromq.zap.01") == 0 else {
      throw .last("listen on", "inproc://zeromq.zap.01")
    }
    let loop = unsafe Unmanaged.passRetained(AdmissionLoop(socket: handle, authority: authority))
    var thread = pthread_t()
    // SAFETY: the loop is retained for the new thread, which releases it; pthread_create orders what came before.
    let code = unsafe pthread_create(&thread, nil, runAdmission, loop.toOpaque())
    guard code == 0 else {
      unsafe loop.release()
      throw .failed(operation: "start", subject: "the admission thread", errno: code)
    }
    self.thread = thread
  }

  deinit {
    // The context was shut down before, so the loop ends at its next receive.
    _ = pthread_join(thread, nil)
  }
}

private func runAdmission(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  _ = unsafe bongsu_thread_name("bongsu-admit")
  // SAFETY: retained for this thread in `AdmissionService.init`.
  unsafe Unmanaged<AdmissionLoop>.fromOpaque(argument!).takeRetainedValue().run()
  return nil
}

private final class AdmissionLoop {
  private let socket: SocketHandle
  private let authority: any KeyAuthority
  private var frames: [[UInt8]] = []

  init(socket: SocketHandle, authority: any KeyAuthority) {
    self.socket = socket
    self.authority = authority
  }

  /// Answers until the context ends; then the socket closes with the loop.
  func run() {
    while receiveRequest() {
      let reply = AdmissionReply(to: frames, by: authority)
      guard send(reply.frames) else { return }
    }
  }

  private func receiveRequest() -> Bool {
    frames.removeAll(keepingCapacity: true)
    while true {
      var message = Message()
      // SAFETY: both are open; the call blocks until a frame comes or the context ends.
      while unsafe zmq_msg_recv(&message.raw, socket.pointer, 0) < 0 {
        if zmq_errno() != EINTR { return false }
      }
      frames.append(message.withBytes { unsafe $0.withUnsafeBytes(Array.init) })
      if !message.hasMore { return true }
    }
  }

  private func send(_ frames: [[UInt8]]) -> Bool {
    for (position, frame) in frames.enumerated() {
      let flags = position + 1 < frames.count ? ZMQ_SNDMORE : 0
      // SAFETY: libzmq copies the bytes during the call.
      while unsafe frame.withUnsafeBytes({ unsafe zmq_send(socket.pointer, $0.baseAddress, $0.count, flags) }) < 0 {
        if zmq_errno() != EINTR { return false }
      }
    }
    return true
  }
}

/// The pure part: request frames in, reply frames out.
struct AdmissionReply: Hashable {
  var requestID: [UInt8] = []
  var status = "300"
  var text = "not enrolled"
  var userID = ""

  init(to request: [[UInt8]], by authority: any KeyAuthority) {
    if request.count > 1 { requestID = request[1] }
    // Anything but a CURVE client in ZAP 1.0 is turned away, with 300 as always.
    guard request.count == 7, request[0] == Array("1.0".utf8), request[5] == Array("CURVE".utf8),
      let key = try? PublicKey(bytes: request[6])
    else {
      text = "not a CURVE request"
      return
    }
    let asked = AdmissionRequest(
      domain: String(decoding: request[2], as: UTF8.self), address: String(decoding: request[3], as: UTF8.self),
      key: key)
    guard case .admit(let userID) = authority.decide(asked) else { return }
    precondition(
      (1...TransportLimits.nameBytesMax).contains(userID.utf8.count),
      "a user id has 1 to \(TransportLimits.nameBytesMax) bytes, the authority gave \(userID.utf8.count)")
    status = "200"
    text = "OK"
    self.userID = userID
  }

  var frames: [[UInt8]] {
    [Array("1.0".utf8), requestID, Array(status.utf8), Array(text.utf8), Array(userID.utf8), []]
  }
}
