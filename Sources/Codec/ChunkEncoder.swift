private import BongsuModel

/// Packs the columns of a chunk. One belongs to one thread at a time; its scratch is reused.
public struct ChunkEncoder: ~Copyable {
  private var blocks = BlockEncoder()
  private var cells: [Int64] = []
  private var trial: [UInt8] = []

  public init() {}

  /// Packs one column and appends it to `output`.
  ///
  /// - Parameters:
  ///   - rows: whole rows of the layout, row after row, oldest first; at most ``ChunkShape/rowsMax``.
  ///   - ticks: the rows' ticks in milliseconds, ascending.
  /// - Returns: how it was packed, which the decoder has to be told.
  public mutating func encode(
    column number: Int, of shape: ChunkShape, rows: Span<Int64>, ticks: Span<Int64>, appendingTo output: inout [UInt8]
  ) throws(BlockError) -> ChunkMode {
    let column = shape.columns[number]
    let width = shape.layout.width
    guard rows.count == ticks.count * width else {
      throw .wrongLength(field: .rows, count: rows.count, expected: ticks.count * width)
    }
    // Moved out for the calls, since a span of a property would hold all of `self`.
    var cells = cells.moveOut()
    defer { self.cells = cells }
    cells.removeAll(keepingCapacity: true)
    for row in 0..<ticks.count {
      for device in 0..<column.count { cells.append(rows[row * width + column.offset + device]) }
    }
    let start = output.count
    try blocks.encode(rows: cells.span, shape: column.plain, base: nil, appendingTo: &output)
    guard let power = column.power,
      Self.takeIntegral(rows, ticks, width, shape.columns[power].offset, column.count, &cells)
    else { return .plain }
    var trial = trial.moveOut()
    defer { self.trial = trial }
    trial.removeAll(keepingCapacity: true)
    try blocks.encode(rows: cells.span, shape: column.remainder, base: nil, appendingTo: &trial)
    guard trial.count < output.count - start else { return .plain }
    output.replaceSubrange(start..., with: trial)
    return .remainder
  }

  /// Takes the integral of the power away from the cells; `false` when that leaves one too large.
  private static func takeIntegral(
    _ rows: Span<Int64>, _ ticks: Span<Int64>, _ width: Int, _ powerOffset: Int, _ count: Int, _ cells: inout [Int64]
  ) -> Bool {
    var integral = PowerIntegral(devices: count)
    let limit = UInt64(BongsuModel.Limits.sampleMagnitudeMax)
    for row in 0..<ticks.count {
      integral.take(tick: ticks[row], rows, from: row * width + powerOffset)
      for device in 0..<count where cells[row * count + device] != Presence.absent {
        let rest = cells[row * count + device] &- integral[device]
        guard rest.magnitude <= limit else { return false }
        cells[row * count + device] = rest
      }
    }
    return true
  }
}

/// Unpacks the columns of a chunk. One belongs to one thread at a time; its scratch is reused.
///
/// Hostile bytes are refused with a ``BlockError``.
public struct ChunkDecoder: ~Copyable {
  private var blocks = BlockDecoder()

  public init() {}

  /// Unpacks one column: for each row the readings of its devices, absence as `Int64.min`.
  ///
  /// - Parameters:
  ///   - ticks: the rows' ticks in milliseconds, as the encoder was given.
  ///   - power: the unpacked column ``ChunkShape/power(of:)``, needed for remainders only.
  ///   - cells: replaced; rows × devices values, row after row.
  public mutating func decode(
    _ payload: RawSpan, column number: Int, of shape: ChunkShape, mode: ChunkMode, ticks: Span<Int64>,
    power: Span<Int64>?, into cells: inout [Int64]
  ) throws(BlockError) {
    let column = shape.columns[number]
    let count = ticks.count * column.count
    guard ticks.count <= shape.rowsMax else {
      throw .outOfRange(field: .rows, value: ticks.count, limit: shape.rowsMax)
    }
    if cells.count != count { cells = [Int64](repeating: 0, count: count) }
    var target = cells.mutableSpan
    let single = mode == .plain ? column.plain : column.remainder
    let rows = try blocks.decode(payload, shape: single, base: nil, into: &target)
    guard rows == ticks.count else { throw .wrongLength(field: .rows, count: rows, expected: ticks.count) }
    guard mode == .remainder else { return }
    guard column.power != nil, let power, power.count == count else { throw .baseMissing }
    var integral = PowerIntegral(devices: column.count)
    for row in 0..<rows {
      integral.take(tick: ticks[row], power, from: row * column.count)
      for device in 0..<column.count where cells[row * column.count + device] != Presence.absent {
        let reading = cells[row * column.count + device] &+ integral[device]
        guard reading.magnitude <= UInt64(BongsuModel.Limits.sampleMagnitudeMax) else {
          throw .valueTooLarge(column: number, value: reading)
        }
        cells[row * column.count + device] = reading
      }
    }
  }
}
