/// Functions from a number to a number.
enum InstantFunctions {
  /// The function of a name; `nil` when the name is that of another kind of function.
  static func named(_ name: String) -> ((Double) -> Double)? {
    switch name {
    case "abs": { $0.magnitude }
    case "ceil": { $0.rounded(.up) }
    case "floor": { $0.rounded(.down) }
    case "sqrt": { $0.squareRoot() }
    case "exp": GoMath.exp
    case "ln": GoMath.log
    case "log2": GoMath.log2
    case "log10": GoMath.log10
    case "sin": GoMath.sin
    case "cos": GoMath.cos
    case "tan": GoMath.tan
    case "asin": GoMath.asin
    case "acos": GoMath.acos
    case "atan": GoMath.atan
    case "sinh": GoMath.sinh
    case "cosh": GoMath.cosh
    case "tanh": GoMath.tanh
    case "asinh": GoMath.asinh
    case "acosh": GoMath.acosh
    case "atanh": GoMath.atanh
    case "rad": { $0 * Double.pi / 180 }
    case "deg": { $0 * 180 / Double.pi }
    case "sgn": { $0 < 0 ? -1 : $0 > 0 ? 1 : $0 }
    default: nil
    }
  }
}
