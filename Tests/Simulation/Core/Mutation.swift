/// A known mistake, made by the simulation's own glue so that the product's code need not hold a switch for it. Each must
/// be caught.
public enum Mutation: String, CaseIterable, Sendable {
  /// Tells the sessions that staged records are on disk.
  case acknowledgeBeforeSync
  /// Acknowledges each block as it arrives.
  case durableOnReceipt
  /// Stores blocks that the session calls duplicates.
  case skipDeduplication
  /// A tier takes records again that it has applied before a restart.
  case replayTwiceIntoTier
  /// A tier notes the record number of its data in another file than the data.
  case tierNumberApart
  /// The spool forgets its last run at a restart.
  case dropSpoolTail
  /// The spool says that rows are stored, and stores nothing.
  case spoolLies
  /// Blocks at the start of a journal segment stay based on rows of the segment before.
  case noKeyframeInSegment
  /// Gaps are consumed but not recorded.
  case forgetGap
  /// Gap frames of agents vanish.
  case dropGapFrames
  /// The lease of numbers is not kept over restarts.
  case forgetLease
  /// Nodes are believed to be new at each restart of the aggregator.
  case forgetTickFloor
  /// Checkpoints are written before the records they cover are on disk.
  case checkpointAhead
  /// The journal is trimmed before the tiers have written what it holds.
  case trimTooMuch
  /// Rows are labelled by the wall clock, whatever it does.
  case trustWallClock
  /// Every run of an agent is taken for the one before.
  case ignoreRuns
  /// Late rows do not reach the tiers.
  case lateRowsSkipTier
  /// A failed synchronization is taken for a success the second time.
  case retryFailedSync
  /// A row of the spool changes its value on the way.
  case damagedValue
  /// Rows that never reached delivery are forgotten.
  case forgetDroppedRows
}
