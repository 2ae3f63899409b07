internal import BongsuQuery
public import BongsuReports
public import BongsuSeries

/// The part of the nation that somebody may see: matchers that are added to every question.
///
/// - A matcher on `allocation` stands for the whole subtree: `allocation="samsung"` covers `samsung/research` as well.
///   `allocation!="samsung/secret"` leaves that subtree out and all above it too, since their totals contain it. So what is
///   in a scope is in it with everything below, and no total in it holds anything of others.
/// - A series without the label is never in a scope. PromQL takes an absent label for an empty one, so that
///   `factory!="naver-sejong"` would otherwise match the nation's total, in which that factory is contained.
///
/// A route gets it with the person who asks (`person.scope`) and has to narrow its answer by it, whether by ``narrow(_:)``
/// for series or by asking ``includes(_:)-(LabelSet)`` of each thing it tells.
public struct AccessScope: Hashable, Sendable {
  /// Added to every selector; empty: everything may be seen.
  public let matchers: [LabelMatcher]
  /// As it was given, for people.
  public let texts: [String]

  /// Everything.
  public static let unlimited = AccessScope(matchers: [], texts: [])

  /// Whether everything may be seen.
  public var isUnlimited: Bool { matchers.isEmpty }

  /// Labels that a scope may name: where something stands and whose it is.
  public static let labels = ["allocation", "factory", "hall", "rack", "node"]

  private init(matchers: [LabelMatcher], texts: [String]) {
    self.matchers = matchers
    self.texts = texts
  }

  /// Reads matchers such as `allocation="samsung"` or `factory=~"naver-.*", hall="a"`; all must hold.
  ///
  /// - Throws: ``APIError`` of `bad_parameter`, with what is wrong.
  public init(_ texts: [String]) throws(APIError) {
    var matchers: [LabelMatcher] = []
    for text in texts {
      let read: [LabelMatcher]
      // A selector needs a matcher that no empty value satisfies, which a matcher of a scope need not be.
      do throws(ParseFailure) {
        read = Array(try Parser.parseSelector("{__name__!=\"\",\(text)}").dropFirst())
      } catch {
        throw Self.invalid(text, error.message)
      }
      guard !read.isEmpty else { throw Self.invalid(text, "it has no matcher") }
      for matcher in read {
        guard Self.labels.contains(matcher.name) else {
          throw Self.invalid(
            text, "it matches \(matcher.name); a scope can match \(Self.labels.joined(separator: ", "))")
        }
        guard !matcher.value.isEmpty else { throw Self.invalid(text, "\(matcher.name) is matched with nothing") }
        if matcher.name == "allocation", matcher.comparison == .doesNotMatch {
          throw Self.invalid(
            text,
            "what a pattern leaves out may lie below what it lets in, whose totals tell of it; use != with a path")
        }
        do throws(PatternError) {
          matchers.append(try Self.covering(matcher))
          matchers.append(try LabelMatcher(matcher.name, .notEqual, ""))
        } catch {
          throw Self.invalid(text, "\(error)")
        }
      }
    }
    self.init(matchers: matchers, texts: texts)
  }

  /// The matcher with the subtree of an allocation included.
  private static func covering(_ matcher: LabelMatcher) throws(PatternError) -> LabelMatcher {
    guard matcher.name == "allocation" else { return matcher }
    switch matcher.comparison {
    case .equal: return try LabelMatcher("allocation", .matches, escaped(matcher.value) + "(/.*)?")
    case .matches: return try LabelMatcher("allocation", .matches, "(?:\(matcher.value))(/.*)?")
    case .notEqual:
      var above: [String] = []
      var path = ""
      for part in matcher.value.split(separator: "/").dropLast() {
        path += (path.isEmpty ? "" : "/") + part
        above.append(escaped(path))
      }
      let pattern = (above + [escaped(matcher.value) + "(/.*)?"]).joined(separator: "|")
      return try LabelMatcher("allocation", .doesNotMatch, pattern)
    case .doesNotMatch: preconditionFailure("a scope cannot have \(matcher)")
    }
  }

  private static func escaped(_ text: String) -> String {
    let special: Set<Character> = ["\\", ".", "+", "*", "?", "(", ")", "|", "[", "]", "{", "}", "^", "$"]
    return text.reduce(into: "") { out, character in
      if special.contains(character) { out.append("\\") }
      out.append(character)
    }
  }

  private static func invalid(_ text: String, _ reason: String) -> APIError {
    APIError(
      .badParameter, "match is \"\(text.quotedForMessage)\": \(reason)",
      nextStep: "give a matcher such as allocation=\"samsung\" or factory=~\"naver-.*\"")
  }

  // MARK: What is in it

  /// Whether the scope says anything about a label.
  public func limits(_ label: String) -> Bool { matchers.contains { $0.name == label } }

  /// Whether a value of one label may be seen, other labels left aside.
  public func covers(_ label: String, _ value: String) -> Bool {
    for matcher in matchers where matcher.name == label && !matcher.matches(value) { return false }
    return true
  }

  /// Whether a series or an alert with these labels may be seen.
  public func includes(_ labels: LabelSet) -> Bool { matchers.allSatisfy { $0.matches(labels) } }

  /// Whether something may be seen that has these labels.
  public func includes(_ labels: [String: String]) -> Bool {
    matchers.allSatisfy { $0.matches(labels[$0.name] ?? "") }
  }

  /// Whether a node may be seen. One that no fleet file names stands at `unassigned`, as its series say.
  public func includes(_ node: NodeReport) -> Bool {
    includes([
      "node": node.id, "factory": node.factory ?? Self.nowhere, "hall": node.hall ?? Self.nowhere,
      "rack": node.rack ?? Self.nowhere, "allocation": node.allocation ?? Self.nowhere,
    ])
  }

  /// The source as seen through the scope.
  public func narrow(_ source: any SeriesSource) -> any SeriesSource {
    isUnlimited ? source : NarrowedSeries(source, to: matchers)
  }

  /// Where nodes stand that no fleet file names, and whose they are.
  private static let nowhere = "unassigned"
}
