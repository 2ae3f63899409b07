internal import BongsuQuery
internal import BongsuSeries

/// Groups that read every GPU or the store take longer than a tick; they are lent to another thread, one group at a time,
/// so that rules over live rollups never wait for them. A lent group is not due; its state comes back with it.
extension RuleEngine {
  /// Sorts groups by what they read. `isLive` says whether a metric is in memory, kept up by every tick.
  ///
  /// Precondition: no group is lent.
  public mutating func sortGroups(isLive: (String) -> Bool) {
    precondition(!isLending, "groups are sorted while one is lent")
    let recorded = Set(
      groups.flatMap { $0.state.group.rules }.compactMap { rule -> String? in
        if case .recording(let name) = rule.kind { name } else { nil }
      })
    for index in groups.indices {
      groups[index].isSlow = !groups[index].state.group.rules.allSatisfy { rule in
        rule.readsOnly { isLive($0) || recorded.contains($0) || RuleSource.alertNames.contains($0) }
      }
    }
  }

  /// Whether any group is lent.
  public var isLending: Bool { groups.contains { $0.isLent } }

  /// An engine with the group alone, to be evaluated elsewhere and given back to ``takeBack(_:)``.
  public mutating func lend(_ index: Int) -> RuleEngine {
    precondition(!groups[index].isLent, "group '\(groups[index].state.group.name)' is lent twice")
    var lent = self
    lent.groups = [groups[index]]
    groups[index].isLent = true
    return lent
  }

  /// Takes a lent group with its new state. Precondition: the rules are those of when it was lent.
  public mutating func takeBack(_ lent: RuleEngine) {
    guard var group = lent.groups.first,
      let index = groups.firstIndex(where: { $0.isLent && $0.keys == group.keys && $0.file == group.file })
    else { preconditionFailure("a group comes back that was not lent") }
    group.isLent = false
    groups[index] = group
  }
}

extension Rule {
  /// Whether the rule reads only metrics that `isKnown` says yes to, as far as that can be told before it is evaluated.
  fileprivate func readsOnly(_ isKnown: (String) -> Bool) -> Bool {
    // A template may ask for anything.
    guard !(labels + annotations).contains(where: { $0.value.contains("query") && $0.value.contains("{{") }) else {
      return false
    }
    var names: [String: Int64] = [:]
    var isNamed = true
    expression.collectNames(reachingBack: 0, into: &names, allNamed: &isNamed)
    return isNamed && names.keys.allSatisfy(isKnown)
  }
}
