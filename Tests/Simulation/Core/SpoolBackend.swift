import BongsuModel
import BongsuWire

/// What stands behind an agent's session in a run: the product's spool on a simulated disk, or a small model of one that
/// overflows soon.
protocol SpoolBackend: AnyObject {
  var state: AgentState? { get }
  var layouts: [LayoutAnnouncement] { get }
  /// The highest final label that was spooled when the process started.
  var lastTick: Tick? { get }

  func spill(_ run: SpooledRun, rows: [Int64], losses: inout [SpoolLoss]) -> Bool
  func release(_ durable: SequenceSet)
  func spooledRun(endingAtOrAfter sequence: UInt64) -> SpooledRun?
  func readSpooled(_ run: SpooledRun, appendingTo frame: inout [UInt8]) -> Bool
  func store(_ state: AgentState) -> Bool
  func store(_ layout: LayoutAnnouncement) -> Bool
  func reset()

  /// Whether a number is spooled such that it outlives the process.
  func keeps(_ sequence: UInt64) -> Bool
  /// The process ended, the machine with it when the power fails.
  func processEnds(power: Bool)
  /// The process starts again.
  func reopen()
  /// What is on disk now, as another disk.
  func copy(seed: UInt64) -> any SpoolBackend
  /// The disk begins to refuse in one way or another, or stops refusing.
  func trouble(_ kind: Int)
  func mend()
  /// Bounds the spool to a few runs; a disk of real size does not overflow in a run.
  func shrink(to bytes: Int)
}
