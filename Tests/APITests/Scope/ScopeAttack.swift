import Foundation

/// One thing that the bearer of a narrowed token may try, and how it is asked.
struct ScopeAttack: Sendable, CustomStringConvertible {
  let name: String
  let path: String
  /// Whether somebody who sees everything is answered otherwise where there are others: the attack has something to find.
  let isTelling: Bool

  var description: String { name }

  init(_ name: String, _ path: String, isTelling: Bool = true) {
    self.name = name
    self.path = path
    self.isTelling = isTelling
  }

  static func query(_ name: String, _ expression: String, isTelling: Bool = true) -> ScopeAttack {
    ScopeAttack(name, "/api/v1/query?time=1795253402&query=" + escaped(expression), isTelling: isTelling)
  }

  static func range(_ name: String, _ expression: String) -> ScopeAttack {
    ScopeAttack(name, "/api/v1/query_range?start=1795253400&end=1795253403&step=1&query=" + escaped(expression))
  }

  static func escaped(_ text: String) -> String {
    text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? text
  }

  static let all =
    selectors + aggregations + absences + joins + renamings + errors + listings + rules + places + streams + history

  static let selectors: [ScopeAttack] = [
    .query("a bare name", "gpu:power"), .query("every name by pattern", "{__name__=~\".+\"}"),
    .query("another's allocation by name", "gpu:power{allocation=\"sk\"}"),
    .query("another's by alternative", "gpu:power{allocation=~\"naver|sk|msit/.*\"}"),
    .query("everything but one's own", "gpu:power{allocation!=\"naver\",allocation!=\"naver/research\"}"),
    .query("everything but one's own by pattern", "{__name__=~\".+\",allocation!~\"naver(/.*)?\"}"),
    .query("totals, which have no allocation", "nation:power"),
    .query("an empty allocation", "{__name__=~\".+\",allocation=\"\"}"),
    .query("the total of a shared factory", "factory:power{factory=\"naver-sejong\"}"),
    .query("the total of a shared hall's racks", "rack:power{factory=\"naver-sejong\"}"),
    .query("a tenant whose name begins alike", "gpu:power{allocation=~\"naver.*\"}"),
    .query("a pattern that matches the slash", "allocation:power{allocation=~\"naver.cloud|naver.*\"}"),
    .query("a pattern with its end in brackets", "gpu:power{allocation=~\"(naver|sk)()\"}"),
    .query("a pattern that ignores case", "gpu:power{allocation=~\"(?i)SK\"}"),
    .query("the own metrics of the aggregator", "up"), .query("how many nodes are connected", "bongsu_nodes_connected"),
    .query("an instant in the past", "gpu:power offset 1s"), .query("a fixed instant", "gpu:power @ 1795253401"),
    .query("another's window", "gpu:power{allocation=\"sk\"}[3s]"),
    .query("what rules have recorded", "tenant:power:sum"), .query("another's recorded series", "sk:power:sum"),
    .query("alerts as series", "ALERTS"), .query("alerts of others as series", "ALERTS{allocation!=\"naver\"}"),
    .query("the state of alerts as series", "ALERTS_FOR_STATE"),
    .query("a metric that only others have", "bongsu_secret_project"),
    .query("another's metric by its label", "{project=~\".+\"}"),
  ]

  static let aggregations: [ScopeAttack] =
    ["sum", "count", "avg", "min", "max", "stddev", "stdvar"].map {
      .query("\($0) over everybody", "\($0)(gpu:power)")
    } + [
      .query("groups by allocation", "group by (allocation) (gpu:power)"),
      .query("a sum without labels", "sum without (allocation, node, rack, hall) (gpu:power)"),
      .query("the largest of all", "topk(3, gpu:power)"), .query("the smallest of all", "bottomk(2, gpu:power)"),
      .query("a quantile of all", "quantile(0.9, gpu:power)"),
      .query("how many have each value", "count_values(\"watts\", gpu:power)"),
      .query("the sum of sums", "sum(sum by (factory) (gpu:power))"),
      .query("a count compared", "count(gpu:power) > bool 4"),
      .query("the mean over time of a count", "avg_over_time(count(gpu:power)[3s:1s])"),
      .query("a rate of a sum", "deriv(sum(gpu:power)[3s:1s])"),
      .query("a quantile of a histogram", "histogram_quantile(0.9, latency_bucket)"),
      .range("a count at every step", "count(gpu:power)"),
      .range("a sum by allocation at every step", "sum by (allocation) (gpu:power)"),
      .range("alerts at every step", "count by (alertname, allocation) (ALERTS)"),
    ]

  static let absences: [ScopeAttack] = [
    .query("whether another is absent", "absent(allocation:power{allocation=\"sk\"})"),
    .query("whether another was absent over time", "absent_over_time(gpu:power{allocation=\"sk\"}[3s])"),
    .query("whether another's node is absent", "absent(gpu:power{node=\"n4\"})"),
    .query("present over time", "present_over_time(gpu:power{allocation!=\"naver\"}[3s])"),
    .query("a constant where another is", "vector(1) and on () allocation:power{allocation=\"sk\"}"),
    .query("a constant unless another is", "vector(1) unless on () allocation:power{allocation=\"sk\"}"),
    .query("a constant or another", "allocation:power{allocation=\"sk\"} or vector(7)"),
  ]

  static let joins: [ScopeAttack] = [
    .query(
      "one's own times another's",
      "allocation:power{allocation=\"naver\"} * on (nation) allocation:power{allocation=\"sk\"}"),
    .query("the nation less one's own", "nation:power - on (nation) allocation:power{allocation=\"naver\"}"),
    .query("one's share of the nation", "allocation:power / on (nation) group_left () nation:power"),
    .query("one's share of a shared factory", "gpu:power / on (factory) group_left () factory:power"),
    .query("a label of others joined", "gpu:power * on (nation) group_left (project) bongsu_secret_project"),
    .query("one's own where a total is above", "gpu:power and on (nation) (nation:power > 3000)"),
    .query("one's own unless a total is above", "gpu:power unless on (factory) (factory:power > 2000)"),
    .query("one's own compared with a total", "allocation:power > on (nation) group_left () (nation:power / 2)"),
    .query("a total as a scalar", "vector(scalar(nation:power))"),
    .query("one's own plus a total as a scalar", "gpu:power + scalar(nation:power)"),
    .query("one's own or everybody's", "gpu:power{allocation=\"naver\"} or gpu:power"),
  ]

  static let renamings: [ScopeAttack] = [
    .query("others renamed to oneself", "label_replace(gpu:power, \"allocation\", \"naver\", \"allocation\", \".*\")"),
    .query("totals renamed to oneself", "label_replace(nation:power, \"allocation\", \"naver\", \"\", \"\")"),
    .query(
      "allocations joined into another label", "label_join(gpu:power, \"owner\", \"-\", \"allocation\", \"node\")"),
    .query("sorted", "sort_desc(gpu:power)"), .query("times of samples", "count(timestamp(gpu:power))"),
    .query("changes counted", "sum(changes(gpu:power[3s]))"),
    .query("a subquery", "max_over_time(sum(gpu:power)[2s:1s])"),
  ]

  static let errors: [ScopeAttack] = [
    .query("a clash whose message names labels", "allocation:power + on (depth) allocation:power"),
    .query(
      "a clash with others on one side", "allocation:power{allocation=\"naver\"} + on (nation) gpu:power",
      isTelling: false),
    .query("a clash in a set of labels", "label_replace(gpu:power, \"node\", \"x\", \"\", \"\")"),
    .query("a group of many to one", "gpu:power * on (nation) group_left () rack:power"),
    .query("a parse error", "sum(gpu:power", isTelling: false),
    .query("a type error", "rate(gpu:power)", isTelling: false),
    ScopeAttack("a range too fine", "/api/v1/query_range?start=0&end=1e9&step=1&query=gpu:power", isTelling: false),
  ]

  static let listings: [ScopeAttack] = [
    ScopeAttack("series of every name", "/api/v1/series?match%5B%5D=" + escaped("{__name__=~\".+\"}")),
    ScopeAttack(
      "series by several selectors",
      "/api/v1/series?match%5B%5D=gpu:power&match%5B%5D=" + escaped("{allocation=\"sk\"}") + "&match%5B%5D=nation:power"
    ),
    ScopeAttack(
      "series of others", "/api/v1/series?match%5B%5D=" + escaped("{allocation!~\"naver(/.*)?\",nation=\"kr\"}")),
    ScopeAttack("names of labels", "/api/v1/labels"),
    ScopeAttack("names of labels of others", "/api/v1/labels?match%5B%5D=" + escaped("{allocation=\"sk\"}")),
    ScopeAttack("values of allocation", "/api/v1/label/allocation/values"),
    ScopeAttack("values of factory", "/api/v1/label/factory/values"),
    ScopeAttack("values of hall", "/api/v1/label/hall/values"),
    ScopeAttack("values of node", "/api/v1/label/node/values"),
    ScopeAttack("values of a label that only others have", "/api/v1/label/project/values"),
    ScopeAttack("names of metrics", "/api/v1/label/__name__/values"),
    ScopeAttack(
      "values of allocation of others",
      "/api/v1/label/allocation/values?match%5B%5D=" + escaped("{nation=\"kr\",allocation!=\"naver\"}")),
    ScopeAttack("names of alerts", "/api/v1/label/alertname/values"),
    ScopeAttack("a limited list of values", "/api/v1/label/allocation/values?limit=1", isTelling: false),
    ScopeAttack("metadata of everything", "/api/v1/metadata", isTelling: false),
    ScopeAttack(
      "metadata of a metric that others have", "/api/v1/metadata?metric=bongsu_secret_project", isTelling: false),
    ScopeAttack(
      "export of everything",
      "/api/bongsu/v1/export?start=1795253400&end=1795253403&format=csv&match=" + escaped("{__name__=~\".+\"}")),
    ScopeAttack(
      "export of others",
      "/api/bongsu/v1/export?start=1795253400&end=1795253403&match=" + escaped("{allocation=\"sk\"}")),
    ScopeAttack(
      "export of totals", "/api/bongsu/v1/export?start=1795253400&end=1795253403&match=nation:power&match=up"),
  ]

  static let rules: [ScopeAttack] = [
    ScopeAttack("rules", "/api/v1/rules"), ScopeAttack("alerting rules", "/api/v1/rules?type=alert"),
    ScopeAttack("recording rules", "/api/v1/rules?type=record"), ScopeAttack("alerts", "/api/v1/alerts"),
    ScopeAttack("alerts with their delivery", "/api/bongsu/v1/alerts"),
    ScopeAttack("firing alerts", "/api/bongsu/v1/alerts?firing=true"),
    ScopeAttack("the history of alerts", "/api/bongsu/v1/alerts/history"),
    ScopeAttack("the newest of the history, which others could push out", "/api/bongsu/v1/alerts/history?limit=3"),
  ]

  static let places: [ScopeAttack] =
    ["nation", "factories", "halls", "racks", "nodes", "gpus", "allocations"].map {
      ScopeAttack("top \($0)", "/api/bongsu/v1/top/\($0)")
    } + [
      ScopeAttack("top of another's factory", "/api/bongsu/v1/top/factories?factory=sk-ulsan"),
      ScopeAttack(
        "top of a factory that is nowhere", "/api/bongsu/v1/top/factories?factory=atlantis", isTelling: false),
      ScopeAttack("top of another's hall", "/api/bongsu/v1/top/racks?hall=sk-ulsan/hall-a"),
      ScopeAttack("top of another's allocation", "/api/bongsu/v1/top/allocations?allocation=sk"),
      ScopeAttack("top of what lies above one's own", "/api/bongsu/v1/top/allocations?allocation=msit"),
      ScopeAttack("top of a shared factory", "/api/bongsu/v1/top/factories?factory=naver-sejong"),
      ScopeAttack("top of a shared rack's GPUs", "/api/bongsu/v1/top/gpus?rack=r1"),
      ScopeAttack("a top of one row, ordered by power", "/api/bongsu/v1/top/nodes?limit=1&by=power"),
      ScopeAttack("nodes", "/api/bongsu/v1/nodes"), ScopeAttack("one node at a time", "/api/bongsu/v1/nodes?limit=1"),
      ScopeAttack("nodes of another's factory", "/api/bongsu/v1/nodes?factory=sk-ulsan"),
      ScopeAttack("nodes that no file names", "/api/bongsu/v1/nodes?unassigned=true"),
      ScopeAttack("nodes that are missing", "/api/bongsu/v1/nodes?state=missing"),
      ScopeAttack("another's node by name", "/api/bongsu/v1/nodes/sk-ulsan-r1-2"),
      ScopeAttack("gaps", "/api/bongsu/v1/gaps?start=1795253000&end=1795254000"),
      ScopeAttack("gaps of another's node", "/api/bongsu/v1/gaps?node=stray-01&start=1795253000&end=1795254000"),
      ScopeAttack("status", "/api/bongsu/v1/status", isTelling: false),
      ScopeAttack("metrics of the aggregator", "/metrics", isTelling: false),
      ScopeAttack("tokens", "/api/bongsu/v1/tokens", isTelling: false),
      ScopeAttack("join tokens", "/api/bongsu/v1/join-tokens", isTelling: false),
      ScopeAttack("who one is", "/api/bongsu/v1/whoami", isTelling: false),
      ScopeAttack("the build", "/api/v1/status/buildinfo", isTelling: false),
    ]

  /// Each is read up to its first figures.
  static let streams: [ScopeAttack] = [
    ScopeAttack("the page of the nation", "/api/bongsu/v1/live?view=nation"),
    ScopeAttack("how many alerts there are, by the page's summary", "/api/bongsu/v1/live?view=summary"),
    ScopeAttack("the page of one's own", "/api/bongsu/v1/live?view=allocation&id=naver"),
    ScopeAttack("the page of another's allocation", "/api/bongsu/v1/live?view=allocation&id=sk"),
    ScopeAttack("the page of another's factory", "/api/bongsu/v1/live?view=factory&id=sk-ulsan"),
    ScopeAttack("the page of a shared factory", "/api/bongsu/v1/live?view=factory&id=naver-sejong&heat=coverage"),
    ScopeAttack("a page of nothing", "/api/bongsu/v1/live?view=planet", isTelling: false),
  ]

  static let history: [ScopeAttack] = [
    ScopeAttack("how much is stored", "/api/bongsu/v1/storage"),
    ScopeAttack("the ledger", "/api/bongsu/v1/ledger?from=0&to=3600"),
    ScopeAttack("the ledger by factory", "/api/bongsu/v1/ledger?from=0&to=3600&by=factory&step=hour"),
    ScopeAttack("the ledger of another", "/api/bongsu/v1/ledger?from=0&to=3600&allocation=sk"),
    ScopeAttack("the ledger of another's factory", "/api/bongsu/v1/ledger?from=0&to=3600&factory=sk-ulsan"),
    ScopeAttack(
      "the ledger of a name that is nobody's", "/api/bongsu/v1/ledger?from=0&to=3600&allocation=atlantis",
      isTelling: false),
    ScopeAttack("federation of everything", "/federate?match%5B%5D=" + escaped("{__name__=~\".+\"}")),
    ScopeAttack(
      "federation of others", "/federate?match%5B%5D=" + escaped("{allocation!~\"naver(/.*)?\",nation=\"kr\"}")),
    ScopeAttack(
      "federation by several selectors",
      "/federate?match%5B%5D=fresh:power&match%5B%5D=" + escaped("{allocation=\"sk\"}")),
    ScopeAttack("how many series there are", "/api/v1/status/tsdb"),
  ]
}
