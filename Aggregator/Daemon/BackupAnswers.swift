import BongsuAPI
import BongsuIngest
import BongsuStore
import Foundation
import Synchronization

/// Copies the data directory while everything runs.
struct BackupAnswers: BackupSource {
  let engine: IngestEngine
  let directory: String

  func backup(to body: ([UInt8]) async throws -> Void) async throws {
    let box = PieceBox()
    let (engine, directory) = (engine, directory)
    let thread = Thread {
      do {
        let isOpen: Void? = try engine.readingJournals { _ in
          try DataBackup.write(directory) { bytes in try box.put(bytes) }
        }
        guard isOpen != nil else { throw StoreError.notOpen }
        box.finish(nil)
      } catch {
        box.finish(error)
      }
    }
    thread.name = "backup"
    thread.qualityOfService = .utility
    thread.start()
    // Whoever asked is gone: the thread ends at its next piece.
    defer { box.close() }
    while let bytes = try await IngestService.onThread("backup-piece", { try box.take() }) { try await body(bytes) }
  }
}

/// Hands pieces from a thread that blocks to a task; holds a few, so that memory stays bounded however slowly they are taken.
private final class PieceBox: Sendable {
  private struct State {
    var pieces: [[UInt8]] = []
    var isFinished = false
    var isClosed = false
    var failure: (any Error)?
  }

  private static let piecesMax = 4
  private let condition = NSCondition()
  private let state = Mutex(State())

  /// Waits for room. Throws when nobody takes any more.
  func put(_ piece: [UInt8]) throws {
    condition.lock()
    defer { condition.unlock() }
    while state.withLock({ !$0.isClosed && $0.pieces.count >= Self.piecesMax }) { condition.wait() }
    guard state.withLock({ !$0.isClosed }) else { throw CancellationError() }
    state.withLock { $0.pieces.append(piece) }
    condition.broadcast()
  }

  func finish(_ error: (any Error)?) {
    condition.lock()
    defer { condition.unlock() }
    state.withLock { state in
      state.isFinished = true
      state.failure = error
    }
    condition.broadcast()
  }

  func close() {
    condition.lock()
    defer { condition.unlock() }
    state.withLock { $0.isClosed = true }
    condition.broadcast()
  }

  /// The next piece; `nil` at the end. Waits for it.
  func take() throws -> [UInt8]? {
    condition.lock()
    defer { condition.unlock() }
    while state.withLock({ $0.pieces.isEmpty && !$0.isFinished }) { condition.wait() }
    defer { condition.broadcast() }
    return try state.withLock { state in
      if !state.pieces.isEmpty { return state.pieces.removeFirst() }
      if let failure = state.failure { throw failure }
      return nil
    }
  }
}
