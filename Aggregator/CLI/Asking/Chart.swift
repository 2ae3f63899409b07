internal import Foundation

/// Lines over time, drawn with characters. Pure: the same series always give the same text.
///
/// With colour every series has one, and cells are drawn with braille dots, two by four to a cell. Without, every series
/// has a letter, and cells in which several meet an asterisk, so that nothing depends on colour alone.
struct Chart {
  struct Series {
    /// Milliseconds since 1970 and value, in order of time.
    var points: [(time: Int64, value: Double)]
  }

  var series: [Series]
  var start: Int64
  var end: Int64
  /// Points further apart than this are not joined: nothing is known between them.
  var step: Int64
  var quantity: Quantity

  /// Colours that colour-blind people can tell apart (after Okabe and Ito), as numbers of the 256-colour palette.
  static let palette = [38, 214, 35, 205, 226, 33, 167, 250]

  /// What stands for a series in the legend.
  static func mark(_ index: Int, style: TerminalStyle) -> String {
    style.isColoured ? "\u{1B}[38;5;\(palette[index % palette.count])m━━\u{1B}[0m" : letter(index)
  }

  private static func letter(_ index: Int) -> String {
    String(UnicodeScalar(UInt8(ascii: "a") + UInt8(index % 26)))
  }

  /// The chart with its axes, `width` columns wide, with `height` rows of plot.
  func lines(width: Int, height: Int, style: TerminalStyle) -> [String] {
    let axis = ValueAxis(values: series.lazy.flatMap { $0.points.lazy.map(\.value) }, rows: height, quantity)
    let labels = axis.labels(rows: height)
    let gutter = labels.values.reduce(0) { max($0, DisplayWidth.columns($1)) }
    let columns = max(10, width - gutter - 2)
    var canvas = Canvas(columns: columns, rows: height, isFine: style.isColoured)
    for (index, one) in series.enumerated() { draw(one, index, axis, &canvas) }
    let (tick, line, corner) = style.isColoured ? ("┤", "│", "└") : ("+", "|", "+")
    var lines = (0..<height).map { row in
      let label = labels[row] ?? ""
      let padding = String(repeating: " ", count: gutter - DisplayWidth.columns(label))
      return "\(padding)\(label) \(labels[row] == nil ? line : tick)\(canvas.text(row: row))"
    }
    let time = TimeAxis(start: start, end: end, columns: columns)
    let ruler = (0..<columns).map { column in
      time.ticks[column] != nil ? (style.isColoured ? "┬" : "+") : (style.isColoured ? "─" : "-")
    }
    lines.append(String(repeating: " ", count: gutter + 1) + corner + ruler.joined())
    lines.append(String(repeating: " ", count: gutter + 2) + time.labelLine)
    return lines
  }

  private func draw(_ one: Series, _ index: Int, _ axis: ValueAxis, _ canvas: inout Canvas) {
    let span = Double(max(1, end - start))
    var last: (x: Int, y: Int, time: Int64)?
    for point in one.points {
      guard point.value.isFinite, point.time >= start, point.time <= end, let share = axis.share(of: point.value) else {
        last = nil
        continue
      }
      let x = Int((Double(point.time - start) / span * Double(canvas.width - 1)).rounded())
      let y = Int(((1 - share) * Double(canvas.height - 1)).rounded())
      if let last, point.time - last.time <= step + step / 2 {
        canvas.join(from: (last.x, last.y), to: (x, y), index)
      } else {
        canvas.set(x, y, index)
      }
      last = (x, y, point.time)
    }
  }

  /// The cells of a plot.
  private struct Canvas {
    let columns: Int
    let isFine: Bool
    let width: Int
    let height: Int
    /// Per cell: the dots that are set, and the series drawn last; -1 for none, -2 for several.
    private var dots: [UInt8]
    private var owners: [Int]

    init(columns: Int, rows: Int, isFine: Bool) {
      self.columns = columns
      self.isFine = isFine
      width = isFine ? columns * 2 : columns
      height = isFine ? rows * 4 : rows
      dots = Array(repeating: 0, count: columns * rows)
      owners = Array(repeating: -1, count: columns * rows)
    }

    /// Dots of a braille cell by row and column (Unicode Standard, Braille Patterns).
    private static let braille: [[UInt8]] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]]

    mutating func set(_ x: Int, _ y: Int, _ index: Int) {
      guard x >= 0, y >= 0, x < width, y < height else { return }
      let cell = isFine ? y / 4 * columns + x / 2 : y * columns + x
      dots[cell] |= isFine ? Self.braille[y % 4][x % 2] : 1
      owners[cell] = owners[cell] == -1 || owners[cell] == index || isFine ? index : -2
    }

    mutating func join(from: (x: Int, y: Int), to: (x: Int, y: Int), _ index: Int) {
      let steps = max(abs(to.x - from.x), abs(to.y - from.y))
      guard steps > 0 else { return set(to.x, to.y, index) }
      for step in 0...steps {
        let share = Double(step) / Double(steps)
        set(
          from.x + Int((Double(to.x - from.x) * share).rounded()),
          from.y + Int((Double(to.y - from.y) * share).rounded()),
          index)
      }
    }

    func text(row: Int) -> String {
      var out = ""
      var owed = 0
      var colour = -1
      for column in 0..<columns {
        let cell = row * columns + column
        guard owners[cell] != -1 else {
          owed += 1
          continue
        }
        out += String(repeating: " ", count: owed)
        owed = 0
        guard isFine else {
          out += owners[cell] == -2 ? "*" : Chart.letter(owners[cell])
          continue
        }
        if colour != owners[cell] {
          colour = owners[cell]
          out += "\u{1B}[38;5;\(Chart.palette[colour % Chart.palette.count])m"
        }
        out.unicodeScalars.append(UnicodeScalar(0x2800 + UInt32(dots[cell])) ?? " ")
      }
      return colour == -1 ? out : out + "\u{1B}[0m"
    }
  }
}
