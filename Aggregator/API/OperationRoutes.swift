internal import BongsuMetrics
internal import BongsuReports
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// What supervisors and Prometheus servers ask for.
struct OperationRoutes {
  let live: any LiveSource
  let metrics: MetricRegistry

  func install(in table: inout RouteTable) {
    let live = live
    let metrics = metrics
    table.on(.get, "/-/healthy", right: .probe) { _, _, _ in
      Response(
        status: .ok, headers: [.contentType: "text/plain; charset=utf-8"],
        body: ResponseBody(byteBuffer: ByteBuffer(string: "ok\n")))
    }
    table.on(.get, "/-/ready", right: .probe) { _, _, _ in
      let state = live.readyState()
      return try JSONText.response(state, status: state.isReady ? .ok : .serviceUnavailable)
    }
    table.on(.get, "/metrics", right: .readWhole) { request, _, _ in
      _ = try QueryParameters(request.uri.query, allowed: [])
      let format = ExpositionFormat.negotiated(accept: request.headers[.accept])
      return Response(
        status: .ok, headers: [.contentType: format.contentType, .vary: "Accept"],
        body: ResponseBody(byteBuffer: ByteBuffer(string: metrics.render(as: format))))
    }
  }
}
