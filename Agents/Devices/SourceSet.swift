public import BongsuModel

/// The sources of one agent, in order of configuration.
///
/// Made on one thread and handed over as a whole to whoever reads them.
public struct SourceSet {
  /// The sources; names are unique.
  public let sources: [any DeviceSource]

  /// Takes sources as they are, for programs that bring their own.
  ///
  /// - Precondition: names are unique and there are at most ``DeviceLimits/sourcesMax``.
  public init(_ sources: [any DeviceSource]) {
    precondition(sources.count <= DeviceLimits.sourcesMax, "\(sources.count) sources")
    precondition(Set(sources.map(\.name)).count == sources.count, "source names are not unique")
    self.sources = sources
  }

  /// Opens what `specifications` name. Recordings are read and checked here, so that a bad file is refused before
  /// anything starts; drivers are not touched yet.
  public init(_ specifications: [SourceSpecification], interval: TickInterval) throws(SourceSetError) {
    guard specifications.count <= DeviceLimits.sourcesMax else { throw .tooMany(specifications.count) }
    var sources: [any DeviceSource] = []
    var names: Set<String> = []
    for specification in specifications {
      let source = try Self.open(specification, interval: interval)
      guard names.insert(source.name).inserted else { throw .duplicate(source.name) }
      sources.append(source)
    }
    self.sources = sources
  }

  private static func open(
    _ specification: SourceSpecification, interval: TickInterval
  ) throws(SourceSetError) -> any DeviceSource {
    switch specification {
    case .nvml(let library): NVMLSource(library: library, interval: interval)
    case .amd(let sysfsRoot): SysfsGPUSource(.amd, sysfsRoot: sysfsRoot)
    case .intel(let sysfsRoot): SysfsGPUSource(.intel, sysfsRoot: sysfsRoot)
    case .host(let sysfsRoot): HostSource(sysfsRoot: sysfsRoot)
    case .replay(let options): try ReplaySource(options)
    case .simulated(let configuration): SimulatedSource(configuration, interval: interval)
    }
  }
}

/// Why sources cannot be opened.
public enum SourceSetError: Error, Hashable, Sendable, CustomStringConvertible {
  case tooMany(Int)
  case duplicate(String)
  /// A recording is missing or malformed; the text names file, line and what was expected.
  case recording(String)

  public var description: String {
    switch self {
    case .tooMany(let count): "\(count) sources are configured, limit \(DeviceLimits.sourcesMax)"
    case .duplicate(let name): "source \(name) is configured twice; name it once"
    case .recording(let problem): problem
    }
  }
}
