/// How the residuals of one column are stored in a block.
struct ColumnCoding {
  var predictor: Predictor = .natural
  var scale = Scale.one
  /// Whether fields hold residuals without sign.
  var isUnsigned = false
  /// Added to each residual, in units of the scale; only with `isUnsigned`.
  var offset: Int64 = 0
  /// Whether groups run along the ticks of one device instead of along the devices of a tick.
  var isDeviceMajor = false
  /// Bits that choose among classes, for each group; 0 to 3.
  var selectorBits = 0
  /// Class of each selector: packing in bits 5 and 6, width code below.
  var classes = InlineArray<8, UInt8>(repeating: 0)

  /// Residuals in one group.
  @inline(__always)
  func groupSize(_ plan: ColumnPlan) -> Int { isDeviceMajor ? GroupPacking.sizeMax : plan.groupSize }
}

/// The first byte of a column: three bits of form, five of width code or, extended, of structure.
enum ColumnForm {
  /// Forms 0 to 2: ``Packing`` with natural predictor, scale and sign.
  static let natural: UInt8 = 0
  /// Forms 3 to 5: the same with the alternate scale.
  static let alternate: UInt8 = 3
  /// Dense zigzag differences to the previous row, whatever the column's nature.
  static let plain: UInt8 = 6
  /// More bytes follow: see FORMAT.md.
  static let extended: UInt8 = 7
}

/// The cells of one column in a block: where they stand in the rows, and the rows that are predicted.
struct CellRange {
  /// Values in one row of the block.
  let rowWidth: Int
  /// Position of the column in a row.
  let offset: Int
  /// Values of the column in one row.
  let count: Int
  /// First predicted row: 1 in a block without base, whose first row stands alone.
  let firstRow: Int
  /// Rows in the block.
  let rows: Int

  /// Predicted cells.
  @inline(__always)
  var cells: Int { (rows &- firstRow) &* count }
}

/// What an energy counter gains, in millijoules, while power moves from `before` to `now` in a straight line over
/// `milliseconds`: the trapezoid, rounded towards zero. Wraps on absurd input; both sides wrap alike.
@inline(__always)
func energyStep(_ before: Int64, _ now: Int64, milliseconds: Int64) -> Int64 {
  milliseconds == 1000 ? (before &+ now) / 2 : (before &+ now) &* milliseconds / 2000
}
