internal import CZeroMQ
internal import Glibc

/// A failure of the transport. Refusals that are part of normal work (nothing to read, queue full) are values instead.
public enum TransportError: Error, Sendable, Hashable {
  /// The context was shut down (`ETERM`): leave the loop and drop the sockets.
  case terminated
  /// A call failed. `subject` is the endpoint, option or descriptor concerned.
  case failed(operation: String, subject: String, errno: Int32)
  /// This libzmq was built without CURVE.
  case curveUnavailable
  /// A key that is not 32 bytes or not Z85. Never carries the key itself.
  case malformedKey(expected: String, gotBytes: Int)
  /// A CURVE server before `Context.install(authority:)`: it would let every key in.
  case authorityMissing
  /// A second authority for one context.
  case authorityPresent
  /// A setting outside what `TransportLimits` or libzmq allow.
  case outOfRange(setting: String, value: Int, allowed: ClosedRange<Int>)
}

extension TransportError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .terminated:
      "the transport was shut down; close the socket and leave its loop"
    case .failed(let operation, let subject, let code):
      "cannot \(operation) \(subject): \(errorText(code)) (errno \(code)); \(nextStep(code))"
    case .curveUnavailable:
      "this libzmq has no CURVE, so nothing can be encrypted; install a libzmq built with libsodium (Debian: libzmq5)"
    case .malformedKey(let expected, let got):
      "a key must be \(expected), got \(got) bytes; copy it again without line breaks or quotes"
    case .authorityMissing:
      "a CURVE server needs an authority for its keys, else every key is let in; install one in the context first"
    case .authorityPresent:
      "this context has an authority already; let the one authority decide by domain"
    case .outOfRange(let setting, let value, let allowed):
      "\(setting) is \(value), allowed are \(allowed.lowerBound) to \(allowed.upperBound); change the setting"
    }
  }
}

extension TransportError {
  /// The failure that libzmq has just reported on this thread.
  static func last(_ operation: String, _ subject: @autoclosure () -> String) -> TransportError {
    let code = zmq_errno()
    return code == BONGSU_ZMQ_ETERM ? .terminated : .failed(operation: operation, subject: subject(), errno: code)
  }
}

private func errorText(_ code: Int32) -> String {
  // SAFETY: zmq_strerror returns a valid C string for every code, libzmq's own and the system's.
  unsafe String(cString: zmq_strerror(code))
}

private func nextStep(_ code: Int32) -> String {
  switch code {
  case EADDRINUSE: "stop the process that listens there or choose another port"
  case EADDRNOTAVAIL, ENODEV: "use an address of this machine (ip address)"
  case EACCES, EPERM: "ports below 1024 need privileges: choose another port"
  case EMFILE, ENFILE: "raise the descriptor limit (LimitNOFILE, ulimit -n) or the context's socketsMax"
  case EINVAL: "check the value; endpoints are written tcp://HOST:PORT"
  case EPROTONOSUPPORT: "use tcp:// or inproc://"
  case ENOENT: "connect or bind this endpoint first"
  case ENOMEM: "free memory or lower the high-water marks"
  default: "see errno"
  }
}
