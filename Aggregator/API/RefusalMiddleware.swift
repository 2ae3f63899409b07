internal import BongsuMetrics
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOHTTP1

/// Turns whatever a handler throws into an answer of the one form, and counts every answer.
///
/// What is thrown as `APIError` is for the asker. Everything else is ours: it is logged with its text and answered with
/// `internal_failure`, which tells nothing.
struct RefusalMiddleware: RouterMiddleware {
  let metrics: HTTPMetrics

  func handle(
    _ request: Request, context: APIRequestContext, next: (Request, APIRequestContext) async throws -> Response
  ) async throws -> Response {
    let start = ContinuousClock.now
    metrics.inFlight.add(1)
    defer { metrics.inFlight.add(-1) }
    var response: Response
    do {
      response = try await next(request, context)
    } catch let error as HTTPParserError {
      // The connection's bytes make no sense any more; the server closes it.
      throw error
    } catch {
      let refusal = refusal(for: error, request, context)
      metrics.refusals[refusal.code].add()
      response = JSONText.response(refusal)
    }
    response.headers[.xContentTypeOptions] = "nosniff"
    if response.headers[.cacheControl] == nil { response.headers[.cacheControl] = "no-store" }
    let elapsed = (ContinuousClock.now - start).components
    metrics.duration.observe(UInt64(elapsed.seconds) &* 1_000_000_000 &+ UInt64(elapsed.attoseconds / 1_000_000_000))
    let route = context.endpointPath == Self.notFoundPath ? nil : context.endpointPath
    metrics.count(status: response.status.code, route: route)
    return response
  }

  private func refusal(for error: any Error, _ request: Request, _ context: APIRequestContext) -> APIError {
    if let error = error as? APIError { return error }
    if let error = error as? HTTPError, error.status == .notFound {
      return APIError(
        .unknownAddress, "nothing is at \(request.uri.path.quotedForMessage)",
        nextStep: "the API of this release lies under /api/bongsu/v1/")
    }
    if error is CancellationError {
      return APIError(.notReady, "the aggregator is stopping", nextStep: "ask again when it is back")
    }
    context.logger.error(
      "http request failed",
      metadata: ["path": "\(request.uri.path.quotedForMessage)", "error": "\(error)", "type": "\(type(of: error))"])
    return APIError(
      .internalFailure, "the request failed inside the aggregator",
      nextStep: "look for \"http request failed\" in the aggregator's log")
  }

  /// What Hummingbird puts where a request met no route.
  private static let notFoundPath = "NotFound"
}
