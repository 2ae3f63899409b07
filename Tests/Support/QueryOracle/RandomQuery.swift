/// What random expressions are about: names and values that the series at hand have.
public struct QueryVocabulary: Sendable {
  /// Names of series; the last does not exist. Those of `rankable` have no two equal values at a time.
  public var metrics = ["m", "n", "n2", "c", "c2", "h_bucket", "s", "nope"]
  public var rankable = ["m", "n", "n2", "c", "c2", "h_bucket", "s", "nope"]
  public var buckets = "h_bucket"
  /// A series that stands alone, for `scalar`.
  public var single = "s"
  public var namePatterns = ["m", "m|n", "n.*", "dup.*", "c.*", "dup1|m"]
  /// The label that tells series of one metric apart, a second one, and others.
  public var label = "a"
  public var second = "b"
  public var others = ["le", "job", "c"]
  public var secondValue = "1"
  public var patterns = ["x", "y", "x|y", ".*", "[xy]", "x.*", "", "w?", "(?i:X)"]
  public var ranges = ["30s", "1m", "90s", "2m", "3m", "5m", "10m", "61s", "4m59s", "1h"]
  public var offsets = ["30s", "1m", "90s", "2m", "3m", "5m", "10m", "61s", "4m59s", "1h"]
  public var subqueries = ["5m", "10m", "2m"]
  public var subquerySteps = ["", "1m", "30s", "45s"]
  /// Instants for `@`, in seconds since 1970: from the first on, this many.
  public var firstInstant = 1_600_000_000
  public var instantSpan = 1200

  public init() {}
}

/// Random expressions over every function, operator and modifier.
public struct RandomQuery {
  private var random: SeededRandom
  private let words: QueryVocabulary

  /// By default for series as `DifferentialData` makes them.
  public init(seed: UInt64, vocabulary: QueryVocabulary = QueryVocabulary()) {
    random = SeededRandom(seed: seed)
    words = vocabulary
  }

  public mutating func next() -> String {
    random.chance(0.96) ? vector(Int.random(in: 0...3, using: &random)) : scalar(3)
  }

  // MARK: leaves

  private static let rangeFunctions = [
    "rate", "increase", "delta", "irate", "idelta", "deriv", "changes", "resets", "avg_over_time", "sum_over_time",
    "count_over_time", "min_over_time", "max_over_time", "last_over_time", "present_over_time", "absent_over_time",
    "stdvar_over_time", "stddev_over_time",
  ]
  private static let instantFunctions = [
    "abs", "ceil", "floor", "sqrt", "exp", "ln", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "sinh",
    "cosh", "tanh", "asinh", "acosh", "atanh", "rad", "deg", "sgn", "sort", "sort_desc", "timestamp", "absent",
    "minute",
    "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year",
  ]

  private mutating func number() -> String {
    random.pick([
      "0", "1", "2", "-1", "0.5", "1e3", "NaN", "Inf", "-Inf", "3", "10", "0.1", "-0.5", "1.5", "0x10", "010",
    ])
  }

  private mutating func selector(of names: [String]? = nil) -> String {
    let name = random.pick(names ?? words.metrics)
    switch Int.random(in: 0..<10, using: &random) {
    case 0..<5: return name
    case 5..<8:
      let comparison = random.pick(["=", "!=", "=~", "!~"])
      let value = random.pick(words.patterns)
      return "\(name){\(words.label)\(comparison)\"\(value)\"}"
    case 8 where names == nil: return "{__name__=~\"\(random.pick(words.namePatterns))\"}"
    default: return "\(name){\(words.second)=\"\(words.secondValue)\",\(words.label)!=\"\"}"
    }
  }

  private mutating func modifier() -> String {
    switch Int.random(in: 0..<20, using: &random) {
    case 0..<15: return ""
    case 15..<17: return " offset \(random.pick(["", "-"]))\(random.pick(words.offsets))"
    case 17, 18:
      let first = words.firstInstant
      let instants = ["\(first + words.instantSpan / 2)", "\(first)", "\(first + words.instantSpan).5"]
      return " @ \(random.pick(instants + ["start()", "end()", "0", "-10"]))"
    default:
      let instant = words.firstInstant + Int.random(in: 0...words.instantSpan, using: &random)
      return " @ \(instant) offset \(random.pick(words.offsets))"
    }
  }

  private mutating func labels() -> String {
    var names = [words.label, words.second] + words.others + ["__name__"]
    names.shuffle(using: &random)
    return names.prefix(Int.random(in: 0...2, using: &random)).joined(separator: ",")
  }

  // MARK: trees

  private mutating func range(_ depth: Int) -> String {
    if depth <= 0 || random.chance(0.75) { return "\(selector())[\(random.pick(words.ranges))]\(modifier())" }
    let step = random.pick(words.subquerySteps)
    return "(\(vector(depth - 1)))[\(random.pick(words.subqueries)):\(step)]\(modifier())"
  }

  private mutating func scalar(_ depth: Int) -> String {
    if depth <= 0 || random.chance(0.7) { return number() }
    switch Int.random(in: 0..<6, using: &random) {
    case 0, 1: return "scalar(\(vector(depth - 1)))"
    case 2: return "time()"
    case 3: return "(\(scalar(depth - 1)))"
    case 4: return "-\(scalar(depth - 1))"
    default:
      let operation = random.pick(["+", "-", "*", "/", "%", "^", "atan2", "== bool", "> bool", "<= bool", "!= bool"])
      return "(\(scalar(depth - 1)) \(operation) \(scalar(depth - 1)))"
    }
  }

  private mutating func vector(_ depth: Int) -> String {
    if depth <= 0 { return selector() + modifier() }
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<12: return selector() + modifier()
    case 12..<34: return "\(random.pick(Self.rangeFunctions))(\(range(depth)))"
    case 34..<44: return "\(random.pick(Self.instantFunctions))(\(vector(depth - 1)))"
    case 44..<62: return aggregation(depth)
    case 62..<84: return binary(depth)
    default: return special(depth)
    }
  }

  private mutating func aggregation(_ depth: Int) -> String {
    let operation = random.pick([
      "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "topk", "bottomk", "quantile", "count_values",
    ])
    var inner = vector(depth - 1)
    var parameter = ""
    switch operation {
    case "topk", "bottomk":
      parameter = random.pick(["1", "2", "3", "0", "-1", "100", "NaN"]) + ", "
      // Ties are broken by the order of the input, which is a fixed one for selectors only.
      inner = selector(of: words.rankable)
    case "quantile": parameter = random.pick(["0.5", "0", "1", "-1", "2", "NaN", "0.9"]) + ", "
    case "count_values": parameter = "\"v\", "
    default: break
    }
    let grouping = random.pick(["", "by (\(labels())) ", "without (\(labels())) "])
    return random.chance(0.5)
      ? "\(operation) \(grouping)(\(parameter)\(inner))" : "\(operation)(\(parameter)\(inner)) \(grouping)"
  }

  private mutating func binary(_ depth: Int) -> String {
    if random.chance(0.2) {
      let matching = random.pick(["", "on(\(labels())) ", "ignoring(\(labels())) "])
      return "(\(vector(depth - 1))) \(random.pick(["and", "or", "unless"])) \(matching)(\(vector(depth - 1)))"
    }
    let operation = random.pick([
      "+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<=", "== bool", "> bool", "!= bool", "< bool",
    ])
    switch Int.random(in: 0..<10, using: &random) {
    case 0..<3: return "(\(vector(depth - 1))) \(operation) \(scalar(depth - 1))"
    case 3, 4: return "\(scalar(depth - 1)) \(operation) (\(vector(depth - 1)))"
    default:
      let (a, b, others) = (words.label, words.second, words.others.joined(separator: ","))
      let last = words.others[words.others.count - 1]
      let matching = random.pick([
        "", "on(\(random.pick([a, "\(a),\(b)", "", b]))) ", "ignoring(\(labels())) ", "on(\(a)) group_left ",
        "on(\(a)) group_right ", "on(\(a)) group_left(\(last)) ", "ignoring(\(b),\(others)) group_left() ",
        "ignoring(\(b),\(last)) group_right(\(last)) ",
      ])
      return "(\(vector(depth - 1))) \(operation) \(matching)(\(vector(depth - 1)))"
    }
  }

  private mutating func special(_ depth: Int) -> String {
    switch Int.random(in: 0..<14, using: &random) {
    case 0: return "clamp(\(vector(depth - 1)), \(scalar(1)), \(scalar(1)))"
    case 1: return "clamp_\(random.pick(["min", "max"]))(\(vector(depth - 1)), \(scalar(1)))"
    case 2: return "round(\(vector(depth - 1))\(random.pick(["", ", 0.1", ", 5", ", 0", ", \(scalar(1))"])))"
    case 3:
      let buckets = random.pick([
        words.buckets, "rate(\(words.buckets)[\(words.ranges[0])])", "sum by (le) (\(words.buckets))",
        "sum by (le,\(words.label)) (increase(\(words.buckets)[\(words.ranges[1])]))",
        vector(depth - 1),
      ])
      return "histogram_quantile(\(scalar(1)), \(buckets))"
    case 4:
      let destination = random.pick([words.label, words.second, "new", "__name__", "1bad"])
      let replacement = random.pick(["$1", "x", "", "${1}-$2", "$0", "$$", "q$1z", "${name}"])
      let source = random.pick([words.label, words.second, words.others[1], "none", "__name__"])
      let pattern = random.pick(["(.*)", "(x)", "(?P<name>.).*", "x|y", "", "(.)(.)?", "["])
      return
        "label_replace(\(vector(depth - 1)), \"\(destination)\", \"\(replacement)\", \"\(source)\", \"\(pattern)\")"
    case 5:
      let (destination, separator) = (random.pick(["new", words.label, ""]), random.pick([",", "", "-"]))
      return
        "label_join(\(vector(depth - 1)), \"\(destination)\", \"\(separator)\", \"\(words.label)\", \"\(words.second)\")"
    case 6:
      // With `@`, Prometheus 2.42 moves the window from step to step although its end is fixed.
      let window = range(depth)
      return window.contains("@") ? "deriv(\(window))" : "predict_linear(\(window), \(scalar(1)))"
    case 7:
      return
        "holt_winters(\(range(depth)), \(random.pick(["0.5", "0.1", "0", "0.9"])), \(random.pick(["0.5", "0.3", "2"])))"
    case 8: return "quantile_over_time(\(random.pick(["0.5", "0.9", "-1", "2", "NaN", scalar(1)])), \(range(depth)))"
    case 9: return "vector(\(scalar(depth - 1)))"
    case 10: return "-(\(vector(depth - 1)))"
    case 11: return "+\(vector(depth - 1))"
    case 12: return "(\(vector(depth - 1)))"
    default:
      return random.pick([
        "minute()", "hour()", "year()", "month()", "day_of_week()", "vector(time())", "absent(nope{a=\"x\",b=~\"y\"})",
        "absent(\(words.metrics[0]){a=\"x\",a=\"y\",b!=\"\"})", "histogram_count(\(words.metrics[0]))",
        "timestamp(\(words.metrics[0]))", "timestamp(\(words.metrics[1]) offset \(words.offsets[1]))",
        "absent_over_time(nope{q=\"1\"}[5m])", "scalar(\(words.single))", "-1^2", "2^3^2", "-\(words.single)^2", "pi()",
        "time()",
      ])
    }
  }
}
