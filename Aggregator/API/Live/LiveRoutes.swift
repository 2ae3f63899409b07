internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// The page's stream: `/api/bongsu/v1/live`, server-sent events, one `opening` and then `figures` at every closed tick.
struct LiveRoutes {
  let hub: LiveHub?

  func install(in table: inout RouteTable) {
    let hub = hub
    table.on(.get, "/api/bongsu/v1/live", right: .read) { request, context, person in
      let sight = PageSight(view: try Self.view(request.uri.query), scope: person.scope)
      guard let hub else { throw APIError.notAvailable("live") }
      let channel = context.channel
      let seat = try hub.attend(sight, isWelcome: context.isStillAdmitted) { channel.close(promise: nil) }
      let opening = try await withAnswerDeadline { try await hub.opening(of: sight) }
      let first = await hub.frame(of: sight)
      await Self.keepShort(channel)
      return Response(
        status: .ok, headers: [.contentType: "text/event-stream; charset=utf-8", .xAccelBuffering: "no"],
        body: ResponseBody { writer in
          try await writer.write(opening)
          if let first { try await writer.write(first) }
          try await seat.viewer.send { try await writer.write($0) }
          try await writer.finish(nil)
        })
    }
  }

  /// Keeps what waits in this machine for a slow reader to a few kilobytes, so that what it reads next is recent.
  private static func keepShort(_ channel: any Channel) async {
    // A transport without these options has its own bounds; the stream works without them.
    let marks = ChannelOptions.Types.WriteBufferWaterMark(low: 1024, high: APILimits.viewerBufferBytes)
    try? await channel.setOption(.writeBufferWaterMark, value: marks).get()
    let unsent = ChannelOptions.Types.SocketOption(level: .tcp, name: .notSentLowWater)
    try? await channel.setOption(unsent, value: SocketOptionValue(APILimits.viewerBufferBytes)).get()
  }

  /// Reads what is to be watched.
  static func view(_ query: String?) throws(APIError) -> PageView {
    let parameters = try QueryParameters(query, allowed: ["view", "id", "heat", "hall", "rack"])
    func required(_ name: String) throws(APIError) -> String {
      guard let text = parameters.text(name), !text.isEmpty else {
        throw APIError(.badParameter, "\(name) is missing", nextStep: "give what the view is about")
      }
      return text
    }
    let kind = parameters.text("view") ?? "nation"
    switch kind {
    case "nation": return .nation
    case "summary": return .summary
    case "factory": return .factory(try required("id"), heat: try parameters.choice("heat", default: .power))
    case "rack": return .rack(factory: try required("id"), hall: try required("hall"), rack: try required("rack"))
    case "node": return .node(try required("id"))
    case "allocation": return .allocation(try required("id"))
    default:
      throw APIError(
        .badParameter, "no view is called \"\(kind.quotedForMessage)\"",
        nextStep: "use nation, summary, factory, rack, node or allocation")
    }
  }
}

extension HTTPField.Name {
  /// Asks proxies not to hold the stream back.
  fileprivate static let xAccelBuffering = HTTPField.Name("X-Accel-Buffering")!
}

extension NIOBSDSocket.Option {
  /// `TCP_NOTSENT_LOWAT` of Linux: how many unsent bytes the kernel takes before it says that it is full.
  fileprivate static let notSentLowWater = NIOBSDSocket.Option(rawValue: 25)
}
