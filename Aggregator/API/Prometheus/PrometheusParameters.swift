internal import BongsuQuery
internal import BongsuReports
internal import BongsuSeries
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// The parameters of a request to the Prometheus API: from the address and, for POST, from a form body. As there,
/// parameters that nobody asked for are ignored and of one that comes twice the first counts.
struct PrometheusParameters {
  private let body: QueryParameters
  private let address: QueryParameters

  init(of request: Request) async throws {
    do {
      address = try QueryParameters(ofPrometheus: request.uri.query)
      guard request.method == .post else {
        body = try QueryParameters(ofPrometheus: nil)
        return
      }
      let buffer: ByteBuffer
      do {
        buffer = try await withAnswerDeadline { try await request.body.collect(upTo: APILimits.queryBodyBytesMax) }
      } catch is NIOTooManyBytesError {
        throw PrometheusError(.badData, "the body has more than \(APILimits.queryBodyBytesMax) bytes")
      }
      body = try QueryParameters(ofPrometheus: String(buffer: buffer))
    } catch let error as APIError {
      throw PrometheusError(.badData, "\(error.message); \(error.nextStep)")
    }
  }

  func text(_ name: String) -> String? { body.text(name) ?? address.text(name) }

  /// Selectors of all `match[]` parameters.
  func selectors() throws(PrometheusError) -> [[LabelMatcher]] {
    let texts = body.texts("match[]") + address.texts("match[]")
    guard texts.count <= APILimits.selectorsMax else {
      throw .invalid("match[]", "\(texts.count) selectors are given, at most \(APILimits.selectorsMax) are accepted")
    }
    var selectors: [[LabelMatcher]] = []
    for text in texts {
      let matchers: [LabelMatcher]
      do throws(ParseFailure) { matchers = try Parser.parseSelector(text) } catch {
        throw .invalid("match[]", error.description)
      }
      guard matchers.contains(where: { !$0.matches("") }) else {
        throw .invalid("match[]", "match[] must contain at least one non-empty matcher")
      }
      selectors.append(matchers)
    }
    return selectors
  }

  /// An instant in milliseconds since 1970, `nil` when it is not given.
  func instant(_ name: String) throws(PrometheusError) -> Int64? {
    guard let text = text(name) else { return nil }
    if let seconds = FloatText.parse(text), let milliseconds = Int64(exactly: (seconds * 1000).rounded()),
      APILimits.queryTimeRange.contains(milliseconds)
    {
      return milliseconds
    }
    if let milliseconds = TimeText.unixMilliseconds(text) { return milliseconds }
    throw .invalid(name, "cannot parse \(QuotedText.quote(text)) to a valid timestamp")
  }

  /// A span in milliseconds, as a duration or as seconds; `nil` when it is not given.
  func span(_ name: String) throws(PrometheusError) -> Int64? {
    guard let text = text(name) else { return nil }
    if let seconds = FloatText.parse(text), let milliseconds = Int64(exactly: (seconds * 1000).rounded()) {
      return milliseconds
    }
    do throws(DurationText.Failure) { return try DurationText.parse(text) } catch {
      throw .invalid(name, "cannot parse \(QuotedText.quote(text)) to a valid duration")
    }
  }

  /// The `limit` of a listing; 0 means none, and so does absent unless another default is given.
  func limit(default fallback: Int = .max) throws(PrometheusError) -> Int {
    guard let text = text("limit") else { return fallback }
    guard let limit = Int(text), limit >= 0 else {
      throw .invalid("limit", "\(QuotedText.quote(text)) is no number of entries")
    }
    return limit == 0 ? Int.max : limit
  }
}
