/// One name and value of a series.
public struct Label: Sendable, Hashable {
  public var name: String
  public var value: String

  public init(name: String, value: String) {
    self.name = name
    self.value = value
  }

  /// The label that carries the metric name in selectors and results.
  public static let metricName = "__name__"
}

/// Marks label sets of one make, such as those of the devices of one node: they differ in the named labels at most, and in
/// the metric name. Whoever groups by others need not look at each of them.
public final class LabelFamily: Sendable {
  /// Labels in which members may differ.
  public let differing: [String]

  public init(differing: [String]) { self.differing = differing }
}

/// What identifies a series: a metric name and labels, sorted by name, without empty values.
///
/// The metric name is kept beside the other labels, so that the fourteen metrics of one GPU share one allocation, and
/// dropping the name, which most PromQL operations do, costs nothing. An empty `metricName` means that there is none.
/// Equality and order go by UTF-8 bytes, as in Prometheus, and not by Unicode equivalence.
public struct LabelSet: Sendable {
  /// The labels other than the metric name; shared, never changed after creation.
  private final class Storage: Sendable {
    let labels: [Label]
    let hash: UInt64
    let family: LabelFamily?

    init(sorted labels: [Label], family: LabelFamily? = nil) {
      self.labels = labels
      self.family = family
      var hash: UInt64 = 0x9E37_79B9_7F4A_7C15
      for label in labels {
        hash = ByteOrder.mix(hash, ByteOrder.hash(label.name))
        hash = ByteOrder.mix(hash, ByteOrder.hash(label.value))
      }
      self.hash = hash
    }

    static let empty = Storage(sorted: [])
  }

  /// The metric name, empty when the series has none.
  public var metricName: String
  private let storage: Storage

  private init(metricName: String, storage: Storage) {
    self.metricName = metricName
    self.storage = storage
  }

  /// No name and no labels.
  public static let empty = LabelSet(metricName: "", storage: .empty)

  /// Builds a set from labels in any order. Empty values are left out; of repeated names the last wins.
  public init(_ labels: [Label]) {
    var name = ""
    var rest: [Label] = []
    rest.reserveCapacity(labels.count)
    for label in labels {
      if label.name == Label.metricName { name = label.value } else { rest.append(label) }
    }
    self.init(metricName: name, labels: rest)
  }

  /// Builds a set from a metric name and the other labels in any order; see `init(_:)`.
  ///
  /// - Parameter family: whoever else gets the same one has the same labels, but for those that the family names.
  public init(metricName: String, labels: [Label], family: LabelFamily? = nil) {
    var sorted = labels
    if !Self.isStrictlySorted(labels) {
      // The sort is stable, so that the last of several equal names stays the last.
      sorted.sort { ByteOrder.precedes($0.name, $1.name) }
      var unique: [Label] = []
      unique.reserveCapacity(sorted.count)
      for label in sorted {
        if let last = unique.last, ByteOrder.areEqual(last.name, label.name) { unique.removeLast() }
        unique.append(label)
      }
      sorted = unique
    }
    if sorted.contains(where: { $0.value.isEmpty }) { sorted.removeAll { $0.value.isEmpty } }
    self.init(metricName: metricName, storage: sorted.isEmpty ? .empty : Storage(sorted: sorted, family: family))
  }

  /// The family that the set was made with. Sets made from this one have none, unless only the metric name changed.
  public var family: LabelFamily? { storage.family }

  /// A hash of the labels other than the metric name, the same in every run. No work: it is kept with them.
  public var hashWithoutName: UInt64 { storage.hash }

  /// Whether two sets agree in all labels but the metric name.
  public func agreesWithoutName(_ other: LabelSet) -> Bool {
    if storage === other.storage { return true }
    guard storage.hash == other.storage.hash, storage.labels.count == other.storage.labels.count else { return false }
    for (one, other) in zip(storage.labels, other.storage.labels) {
      guard ByteOrder.areEqual(one.name, other.name), ByteOrder.areEqual(one.value, other.value) else { return false }
    }
    return true
  }

  /// The labels other than the metric name, sorted by name.
  public var labelsWithoutName: [Label] { storage.labels }

  /// How many labels there are, the metric name included.
  public var count: Int { storage.labels.count + (metricName.isEmpty ? 0 : 1) }

  /// All labels sorted by name, `__name__` in its place.
  public var allLabels: [Label] {
    guard !metricName.isEmpty else { return storage.labels }
    var all = storage.labels
    let position = all.firstIndex { ByteOrder.precedes(Label.metricName, $0.name) } ?? all.count
    all.insert(Label(name: Label.metricName, value: metricName), at: position)
    return all
  }

  /// The value of a label; empty when the set has no such label, which PromQL cannot tell apart.
  public subscript(name: String) -> String {
    if name == Label.metricName { return metricName }
    for label in storage.labels where ByteOrder.areEqual(label.name, name) { return label.value }
    return ""
  }

  /// The same labels without the metric name. No allocation.
  public var withoutMetricName: LabelSet { LabelSet(metricName: "", storage: storage) }

  /// The same labels under another metric name. No allocation.
  public func named(_ metricName: String) -> LabelSet { LabelSet(metricName: metricName, storage: storage) }

  /// The set with one label set to a value; an empty value removes the label.
  public func setting(_ name: String, to value: String) -> LabelSet {
    if name == Label.metricName { return named(value) }
    var labels = storage.labels
    labels.append(Label(name: name, value: value))
    return LabelSet(metricName: metricName, labels: labels)
  }

  /// The set reduced to the given names.
  public func keeping(_ names: some Collection<String>) -> LabelSet {
    let labels = storage.labels.filter { label in names.contains { ByteOrder.areEqual($0, label.name) } }
    let keepsName = !metricName.isEmpty && names.contains(Label.metricName)
    return LabelSet(metricName: keepsName ? metricName : "", labels: labels)
  }

  /// The set without the given names.
  public func removing(_ names: some Collection<String>) -> LabelSet {
    if names.isEmpty { return self }
    let dropsName = names.contains(Label.metricName)
    let labels = storage.labels.filter { label in !names.contains { ByteOrder.areEqual($0, label.name) } }
    let kept = labels.count == storage.labels.count ? storage : Storage(sorted: labels)
    return LabelSet(metricName: dropsName ? "" : metricName, storage: kept)
  }
}

extension LabelSet: Hashable, Comparable, CustomStringConvertible {
  public static func == (left: LabelSet, right: LabelSet) -> Bool {
    ByteOrder.areEqual(left.metricName, right.metricName) && left.agreesWithoutName(right)
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(ByteOrder.mix(storage.hash, ByteOrder.hash(metricName)))
  }

  /// Order of results: label by label, name before value; a set that is a prefix of another comes first.
  public static func < (left: LabelSet, right: LabelSet) -> Bool {
    let one = left.allLabels
    let other = right.allLabels
    for (a, b) in zip(one, other) {
      if !ByteOrder.areEqual(a.name, b.name) { return ByteOrder.precedes(a.name, b.name) }
      if !ByteOrder.areEqual(a.value, b.value) { return ByteOrder.precedes(a.value, b.value) }
    }
    return one.count < other.count
  }

  /// The set as PromQL writes it: `name{label="value", …}`, or `{…}` without a metric name.
  public var description: String {
    if storage.labels.isEmpty, !metricName.isEmpty { return metricName }
    let inner = storage.labels.map { "\($0.name)=\(QuotedText.quote($0.value))" }.joined(separator: ", ")
    return "\(metricName){\(inner)}"
  }

  private static func isStrictlySorted(_ labels: [Label]) -> Bool {
    guard labels.count > 1 else { return true }
    for index in 1..<labels.count where !ByteOrder.precedes(labels[index - 1].name, labels[index].name) {
      return false
    }
    return true
  }
}
