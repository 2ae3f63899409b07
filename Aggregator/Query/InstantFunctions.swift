internal import Glibc

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
    case "sin": { Glibc.sin($0) }
    case "cos": { Glibc.cos($0) }
    case "tan": { Glibc.tan($0) }
    case "asin": { Glibc.asin($0) }
    case "acos": { Glibc.acos($0) }
    case "atan": { Glibc.atan($0) }
    case "sinh": { Glibc.sinh($0) }
    case "cosh": { Glibc.cosh($0) }
    case "tanh": { Glibc.tanh($0) }
    case "asinh": { Glibc.asinh($0) }
    case "acosh": { Glibc.acosh($0) }
    case "atanh": { Glibc.atanh($0) }
    case "rad": { $0 * Double.pi / 180 }
    case "deg": { $0 * 180 / Double.pi }
    case "sgn": { $0 < 0 ? -1 : $0 > 0 ? 1 : $0 }
    default: nil
    }
  }
}
