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
}
