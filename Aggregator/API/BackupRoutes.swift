internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import ServiceLifecycle
internal import Synchronization

/// The whole data directory as one stream, secret keys included: for whoever may make tokens, too.
struct BackupRoutes {
  let source: (any BackupSource)?

  func install(in table: inout RouteTable) {
    let source = source
    let isRunning = BackupSlot()
    table.on(.get, "/api/bongsu/v1/backup", right: .administer) { request, context, person in
      guard let source else { throw APIError.notAvailable("backup") }
      _ = try QueryParameters(request.uri.query, allowed: [])
      guard let claim = isRunning.take() else {
        throw APIError(.busy, "a backup is being made already", nextStep: "wait until it ends")
      }
      context.logger.notice("backup", metadata: ["by": "\(person.credential)", "from": "\(person.address)"])
      return Response(
        status: .ok, headers: [.contentType: "application/octet-stream", .cacheControl: "no-store"],
        body: ResponseBody { writer in
          try await source.backup { bytes in
            try Task.checkCancellation()
            guard !Task.isShuttingDownGracefully else { throw CancellationError() }
            try await writer.write(ByteBuffer(bytes: bytes))
          }
          try await writer.finish(nil)
          withExtendedLifetime(claim) {}
        })
    }
  }
}

/// Lets one backup run at a time.
private final class BackupSlot: Sendable {
  /// The right to run it, given back when the last reference goes: also when the answer's body is never asked for.
  final class Claim: Sendable {
    private let owner: BackupSlot

    init(of owner: BackupSlot) { self.owner = owner }

    // Relaxed: the flag guards itself and publishes nothing.
    deinit { owner.isTaken.store(false, ordering: .relaxed) }
  }

  private let isTaken = Atomic(false)

  /// `nil` while one runs.
  func take() -> Claim? {
    guard isTaken.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged else { return nil }
    return Claim(of: self)
  }
}
