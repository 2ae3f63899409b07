/// Places between any two steps that reach the disk, by name: where a kill leaves some files ahead of others.
///
/// A test looks at the directory there, as a kill would leave it. Release builds have none of it.
enum Failpoint {
  #if DEBUG
    /// Called at every place that the present task, or thread, comes to.
    @TaskLocal static var reached: (@Sendable (String) -> Void)?
  #endif

  static func pass(_ place: @autoclosure () -> String) {
    #if DEBUG
      if let reached { reached(place()) }
    #endif
  }
}
