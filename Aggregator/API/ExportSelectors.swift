internal import BongsuQuery
internal import BongsuSeries

/// Series selectors of an export, read as PromQL reads them; a series is wanted when any of them matches it.
public struct ExportSelectors: Sendable {
  private let selectors: [[LabelMatcher]]

  /// Reads the selectors.
  ///
  /// - Throws: ``APIError`` of `bad_parameter` for the first that cannot be read.
  public init(_ texts: [String]) throws(APIError) {
    var selectors: [[LabelMatcher]] = []
    for text in texts {
      do throws(ParseFailure) {
        selectors.append(try Parser.parseSelector(text))
      } catch {
        throw APIError(
          .badParameter, "match is \"\(text.quotedForMessage)\": \(error)",
          nextStep: "give a selector such as bongsu_gpu_power_watts{node=\"r1\"}")
      }
    }
    self.selectors = selectors
  }

  /// The selectors with the matchers of a scope in each.
  static func narrowed(_ texts: [String], to scope: AccessScope) throws(APIError) -> [String] {
    guard !scope.isUnlimited else { return texts }
    return try ExportSelectors(texts).selectors.map { matchers in
      "{" + (matchers + scope.matchers).map(\.description).joined(separator: ",") + "}"
    }
  }

  /// Whether a series called `name` can be wanted, whatever its other labels are.
  public func canInclude(name: String) -> Bool {
    selectors.contains { $0.allSatisfy { $0.name != Label.metricName || $0.matches(name) } }
  }

  /// Whether a series can be wanted that has these values for the labels of these names; an empty value says that it does
  /// not have the label. Labels that are not named may be anything.
  public func canInclude(_ labels: [String: String]) -> Bool {
    selectors.contains { matchers in
      matchers.allSatisfy { matcher in labels[matcher.name].map { matcher.matches($0) } ?? true }
    }
  }

  /// Whether the series with exactly these labels is wanted.
  public func includes(name: String, _ labels: [(name: String, value: String)]) -> Bool {
    let set = LabelSet(metricName: name, labels: labels.map { Label(name: $0.name, value: $0.value) })
    return selectors.contains { $0.allSatisfy { $0.matches(set) } }
  }
}
