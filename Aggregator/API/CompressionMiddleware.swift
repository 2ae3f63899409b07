internal import CZlib
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// Sends whole answers compressed to those who take gzip. Streams, whose length nobody knows beforehand, stay as they
/// are: a stream of events must not wait in a compressor.
struct CompressionMiddleware: RouterMiddleware {
  /// Shorter answers fit one packet anyway.
  private static let bytesMin = 1024
  /// Longer ones are left alone, so that one answer cannot keep a thread for seconds.
  private static let bytesMax = 256 << 20
  /// zlib's quickest: answers are numbers in text, of which it leaves a tenth already.
  private static let level: Int32 = 1

  func handle(
    _ request: Request, context: APIRequestContext, next: (Request, APIRequestContext) async throws -> Response
  ) async throws -> Response {
    var response = try await next(request, context)
    guard let length = response.body.contentLength, (Self.bytesMin...Self.bytesMax).contains(length),
      response.headers[.contentEncoding] == nil
    else { return response }
    var vary = response.headers[.vary].map { $0 + ", " } ?? ""
    vary += "Accept-Encoding"
    response.headers[.vary] = vary
    guard request.method != .head, Self.accepts(request.headers[.acceptEncoding] ?? "") else { return response }
    let whole = Collected()
    try await response.body.write(CollectingWriter(whole: whole))
    let plain = ByteBuffer(buffer: whole.buffer)
    if let compressed = Self.gzip(plain) {
      response.headers[.contentEncoding] = "gzip"
      response.headers[.contentLength] = nil
      response.body = ResponseBody(byteBuffer: compressed)
    } else {
      response.body = ResponseBody(byteBuffer: plain)
    }
    return response
  }

  /// Whether a list of codings takes gzip (RFC 9110, 12.5.3): by name, or by `*` when it is not named.
  static func accepts(_ header: String) -> Bool {
    var byStar = false
    for coding in header.split(separator: ",") {
      let parts = coding.split(separator: ";").map { $0.trimmed().lowercased() }
      guard let name = parts.first, ["gzip", "x-gzip", "*"].contains(name) else { continue }
      let weight = parts.dropFirst().first { $0.hasPrefix("q=") }.map { Double($0.dropFirst(2)) ?? 0 } ?? 1
      if name != "*" { return weight > 0 }
      byStar = weight > 0
    }
    return byStar
  }

  private static func gzip(_ buffer: ByteBuffer) -> ByteBuffer? {
    let room = bongsu_gzip_bound(buffer.readableBytes)
    var out = ByteBufferAllocator().buffer(capacity: room)
    // SAFETY: both pointers are valid for the lengths given beside them during the call.
    let written = unsafe buffer.withUnsafeReadableBytes { from in
      unsafe out.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { to in
        unsafe Int(
          bongsu_gzip(
            from.baseAddress?.assumingMemoryBound(to: UInt8.self), from.count,
            to.baseAddress?.assumingMemoryBound(to: UInt8.self), to.count, level))
      }
    }
    return written > 0 && written < buffer.readableBytes ? out : nil
  }

  /// The parts of a body, put together.
  private final class Collected {
    var buffer = ByteBuffer()
  }

  private struct CollectingWriter: ResponseBodyWriter {
    let whole: Collected

    mutating func write(_ buffer: ByteBuffer) async throws {
      var part = buffer
      whole.buffer.writeBuffer(&part)
    }

    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
  }
}

extension Substring {
  fileprivate func trimmed() -> Substring {
    var text = self
    while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
    while let last = text.last, last == " " || last == "\t" { text.removeLast() }
    return text
  }
}
