/// The bounds of what the HTTP API accepts and answers, shared by server and client.
public enum ReportLimits {
  /// Rows of one `top` answer: 10,000 rows of about 500 bytes keep an answer near 5 MB.
  public static let topRowsMax = 10_000
  /// Rows of one `top` answer when nothing is asked: what fits a tall terminal.
  public static let topRowsDefault = 50
  /// Names listed where a report names the nodes outside the fleet; the count beside them is always complete.
  public static let unassignedNamesMax = 100
  /// Nodes of one `nodes` answer: the nation in trays of four has 65,000.
  public static let nodeRowsMax = 100_000
  /// Nodes listed when nothing is asked.
  public static let nodeRowsDefault = 1000
  /// Gap records of one answer, about 300 bytes each, and when nothing is asked.
  public static let gapRowsMax = 100_000
  public static let gapRowsDefault = 1000
  /// Hours or days of one ledger answer.
  public static let ledgerStepsMax: Int64 = 3000
  /// Join tokens made by one request.
  public static let joinTokensPerRequestMax = 10_000
  /// Machines that one join token may enrol.
  public static let joinTokenUsesMax = 100_000
  /// Longest life of a join token, 30 days: a secret that lies about longer will be found.
  public static let joinTokenLifeSecondsMax: Int64 = 30 * 86_400
  /// Life of a join token when nothing is asked, one day.
  public static let joinTokenLifeSecondsDefault: Int64 = 86_400
  /// Node patterns of one join token.
  public static let joinTokenPatternsMax = 100
  /// Bytes in one pattern, name, or comment that a request carries.
  public static let textBytesMax = 256
  /// Matchers of one export, and bytes in each.
  public static let exportMatchersMax = 64
  public static let exportMatcherBytesMax = 4096

  /// Bytes in the name of an access token, matchers on one, and its longest life: ten years.
  public static let accessTokenNameBytesMax = 64
  public static let accessTokenMatchersMax = 8
  public static let accessTokenLifeSecondsMax: Int64 = 10 * 366 * 86_400
}
