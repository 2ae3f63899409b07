import BongsuModel

/// One `--source` argument or config entry, parsed: which source to open and how.
///
///     nvml[:LIBRARY]       NVIDIA GPUs by NVML, library opened at run time
///     amd[:SYSROOT]        AMD GPUs by the kernel's device tree
///     intel[:SYSROOT]      Intel GPUs, likewise
///     host[:SYSROOT]       processors and supply by the kernel's powercap and hwmon, and IPMI
///     replay:FILE[,loop][,speed=N][,run=NAME][,node=NAME][,model=NAME][,key=TEXT]    a recording as live input
///     simulated[:gpus=N,model=NAME,seed=N,jobs=N,work=KIND,meter]                    a generated node
///
/// File names with commas cannot be written.
public enum SourceSpecification: Hashable, Sendable {
  case nvml(library: String)
  case amd(sysfsRoot: String)
  case intel(sysfsRoot: String)
  case host(sysfsRoot: String)
  case replay(ReplayOptions)
  case simulated(SimulatedNode.Configuration)

  /// The library that the NVIDIA driver installs; the dynamic linker's search path finds it.
  public static let defaultLibrary = "libnvidia-ml.so.1"
  /// Where the kernel shows its devices.
  public static let defaultSysfsRoot = "/sys"

  /// What an agent reads when nothing is configured: whatever GPUs and sensors the node has.
  public static let defaults: [SourceSpecification] = [
    .nvml(library: defaultLibrary), .host(sysfsRoot: defaultSysfsRoot),
  ]

  /// Reads the text form.
  public init(parsing text: String) throws(SourceSpecificationError) {
    let (kind, rest) = Self.split(text, at: ":")
    switch kind {
    case "nvml": self = .nvml(library: try Self.path(rest, kind: kind) ?? Self.defaultLibrary)
    case "amd": self = .amd(sysfsRoot: try Self.path(rest, kind: kind) ?? Self.defaultSysfsRoot)
    case "intel": self = .intel(sysfsRoot: try Self.path(rest, kind: kind) ?? Self.defaultSysfsRoot)
    case "host": self = .host(sysfsRoot: try Self.path(rest, kind: kind) ?? Self.defaultSysfsRoot)
    case "replay": self = .replay(try Self.replay(rest ?? ""))
    case "simulated": self = .simulated(try Self.simulated(rest ?? ""))
    default: throw SourceSpecificationError.unknownKind(kind)
    }
  }

  private static func path(_ rest: String?, kind: String) throws(SourceSpecificationError) -> String? {
    guard let rest else { return nil }
    guard !rest.isEmpty else { throw SourceSpecificationError.missing(kind: kind, what: "a path after the colon") }
    return rest
  }

  private static func replay(_ text: String) throws(SourceSpecificationError) -> ReplayOptions {
    var parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    let file = parts.removeFirst()
    guard !file.isEmpty else { throw .missing(kind: "replay", what: "a file name, as in replay:run.csv,loop") }
    var options = ReplayOptions(file: file)
    for part in parts {
      let (key, value) = split(part, at: "=")
      switch (key, value) {
      case ("loop", nil): options.loops = true
      case ("speed", let value?): options.speed = try number(value, key, 1...Int64(ReplayOptions.speedMax), "replay")
      case ("run", let value?) where !value.isEmpty: options.run = value
      case ("node", let value?) where !value.isEmpty: options.node = value
      case ("model", let value?) where !value.isEmpty: options.model = value
      case ("key", let value?) where !value.isEmpty: options.key = value
      default:
        throw .unknownOption(
          kind: "replay", option: part, expected: "loop, speed=N, run=NAME, node=NAME, model=NAME, key=TEXT")
      }
    }
    return options
  }

  private static func simulated(_ text: String) throws(SourceSpecificationError) -> SimulatedNode.Configuration {
    var configuration = SimulatedNode.Configuration()
    guard !text.isEmpty else { return configuration }
    var gpus: Int?
    var jobs: UInt64?
    for part in text.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
      let (key, value) = split(part, at: "=")
      switch (key, value) {
      case ("gpus", let value?):
        gpus = try number(value, key, 1...Int64(SimulatedNode.gpusMax), "simulated")
      case ("model", let value?):
        guard let model = GPUModel.model(value) else {
          let known = GPUModel.all.map(\.key).joined(separator: ", ")
          throw .badValue(kind: "simulated", option: "model", value: value, expected: "one of \(known)")
        }
        configuration.model = model
      case ("seed", let value?):
        configuration.seed = UInt64(try number(value, key, 0...Int64.max, "simulated"))
      case ("jobs", let value?):
        jobs = UInt64(try number(value, key, 0...Int64.max, "simulated"))
      case ("work", let value?):
        guard let workload = SimulatedWorkload(rawValue: value) else {
          let known = SimulatedWorkload.allCases.map(\.rawValue).joined(separator: ", ")
          throw .badValue(kind: "simulated", option: "work", value: value, expected: "one of \(known)")
        }
        configuration.workload = workload
      case ("meter", nil): configuration.hasMeter = true
      default:
        throw .unknownOption(
          kind: "simulated", option: part, expected: "gpus=N, model=NAME, seed=N, jobs=N, work=KIND, meter")
      }
    }
    configuration.gpuCount = gpus ?? configuration.model.gpusPerNode
    configuration.jobSeed = jobs ?? configuration.seed
    return configuration
  }

  private static func number(
    _ text: String, _ option: String, _ range: ClosedRange<Int64>, _ kind: String
  ) throws(SourceSpecificationError) -> Int {
    guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let value = Int64(text),
      range.contains(value)
    else {
      throw .badValue(
        kind: kind, option: option, value: text,
        expected: "a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return Int(value)
  }

  private static func split(_ text: String, at separator: Character) -> (String, String?) {
    guard let position = text.firstIndex(of: separator) else { return (text, nil) }
    return (String(text[..<position]), String(text[text.index(after: position)...]))
  }
}

/// How a recording is replayed.
public struct ReplayOptions: Hashable, Sendable {
  /// Path of the recording, plain CSV.
  public var file: String
  /// Starts again from its beginning when it ends.
  public var loops = false
  /// How many times faster than recorded.
  public var speed = 1
  /// Which run of the file, where it holds several.
  public var run: String?
  /// Which node of the run, where it holds several.
  public var node: String?
  /// Product name to give its GPUs; recordings do not carry one.
  public var model = ""

  /// What the keys of its GPUs start with instead of run and node, for the same recording on several nodes.
  public var key: String?

  /// Fastest replay.
  public static let speedMax = 1000

  /// Replays `file` once at the speed of recording.
  public init(file: String) {
    self.file = file
  }
}

/// Why a source specification is refused.
public enum SourceSpecificationError: Error, Hashable, Sendable, CustomStringConvertible {
  case unknownKind(String)
  case missing(kind: String, what: String)
  case unknownOption(kind: String, option: String, expected: String)
  case badValue(kind: String, option: String, value: String, expected: String)

  public var description: String {
    switch self {
    case .unknownKind(let kind):
      "unknown source '\(kind)'; expected nvml, amd, intel, host, replay:FILE or simulated"
    case .missing(let kind, let what):
      "source \(kind) needs \(what)"
    case .unknownOption(let kind, let option, let expected):
      "source \(kind) does not know '\(option)'; expected \(expected)"
    case .badValue(let kind, let option, let value, let expected):
      "source \(kind): \(option) is '\(value)'; expected \(expected)"
    }
  }
}
