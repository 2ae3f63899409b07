internal import BongsuMetrics
internal import HTTPTypes
internal import Hummingbird

/// Collects the routes and installs them with what all have in common: the access check before the handler, an answer
/// for methods that a known address does not have, and a counter.
struct RouteTable {
  typealias Handler = @Sendable (Request, APIRequestContext, Operator) async throws -> Response

  private struct Route {
    let method: HTTPRequest.Method
    let right: AccessGate.Right
    let handler: Handler
  }

  private let gate: AccessGate
  private var routes: [String: [Route]] = [:]

  /// Whether connections are encrypted.
  private let isEncrypted: Bool

  private let slots: RequestSlots

  init(gate: AccessGate, isEncrypted: Bool = false, requestsMax: Int = APILimits.requestsMax) {
    self.gate = gate
    slots = RequestSlots(limit: requestsMax)
    self.isEncrypted = isEncrypted
  }

  /// Adds a handler; parts of `path` that start with a colon match anything but a slash.
  mutating func on(
    _ method: HTTPRequest.Method, _ path: String, right: AccessGate.Right, handler: @escaping Handler
  ) {
    routes[path, default: []].append(Route(method: method, right: right, handler: handler))
  }

  /// Builds the router and tells `metrics` the routes.
  func router(counting metrics: inout HTTPMetrics) -> Router<APIRequestContext> {
    for path in routes.keys.sorted() { metrics.add(route: RouterPath(path).description) }
    let refusals = metrics.refusals
    let router = Router(context: APIRequestContext.self, options: .autoGenerateHeadEndpoints)
    router.add(middleware: CompressionMiddleware())
    router.add(middleware: RefusalMiddleware(metrics: metrics))
    for (path, known) in routes {
      for route in known { install(route, at: path, in: router) }
      let methods = known.map(\.method)
      let allow = (methods + (methods.contains(.get) ? [.head] : [])).map(\.rawValue).sorted().joined(separator: ", ")
      for method in Self.allMethods where !methods.contains(method) && !(method == .head && methods.contains(.get)) {
        router.on(RouterPath(path), method: method) { request, _ -> Response in
          refusals[.methodNotAllowed].add()
          var response = JSONText.response(
            APIError(
              .methodNotAllowed, "\(request.method.rawValue) does nothing at this address", nextStep: "use \(allow)"))
          response.headers[.allow] = allow
          return response
        }
      }
    }
    return router
  }

  private func install(_ route: Route, at path: String, in router: Router<APIRequestContext>) {
    let gate = gate
    let isEncrypted = isEncrypted
    let slots = slots
    router.on(RouterPath(path), method: route.method) { request, context -> Response in
      let facts = AccessGate.Request(
        peerAddress: context.peerAddress, authorization: request.headers[.authorization],
        authority: request.head.authority, origin: request.headers[.origin],
        cookie: AccessRoutes.token(inCookies: request.headers[.cookie]), isEncrypted: isEncrypted)
      let person = try gate.admit(facts, for: route.right)
      var context = context
      context.isStillAdmitted = { (try? gate.admit(facts, for: route.right)) == person }
      // Supervisors must be answered however much others ask.
      if route.right == .probe { return try await route.handler(request, context, person) }
      return try await slots.run { [context] in try await route.handler(request, context, person) }
    }
  }

  private static let allMethods: [HTTPRequest.Method] = [.get, .head, .post, .put, .patch, .delete, .options]
}
