/// The bounds of the HTTP server. Those of the reports stand in BongsuReports.
public enum APILimits {
  /// Connections at once; further ones wait in the kernel's queue.
  public static let connectionsMax = 1024
  /// Bytes in all header fields of a request, its address included.
  public static let headerBytesMax = 32 * 1024
  /// Bytes in the body of a request that changes something.
  public static let bodyBytesMax = 64 * 1024
  /// Query parameters of one request, and bytes in the name or value of each.
  public static let parametersMax = 128
  public static let parameterBytesMax = 8 * 1024
  /// A connection that sends nothing for this long is closed, which also ends slow senders of headers.
  public static let idleSecondsMax: Int64 = 60
  /// A request's body must have come this long after its head.
  public static let bodySecondsMax: Int64 = 30
  /// A connection is closed whose other end reads nothing of its answer for this long.
  public static let stallSecondsMax: Int64 = 60
  /// After how long somebody who was refused with 503 may ask again.
  public static let retryAfterSeconds = 1
  /// Header fields of a request.
  public static let headerFieldsMax = 100
  /// Requests worked on at once, probes aside: each holds its answer in memory.
  public static let requestsMax = 256
  /// An answer that is not streamed must be there after this long.
  public static let answerSecondsMax: Int64 = 30
  /// Known names listed when a filter names an unknown one.
  static let knownNamesShown = 8
  /// Bytes of the asker's own words repeated in a message.
  static let quotedBytesMax = 120
  /// Bytes of one parameter of a query, and of a form body: expressions that tools generate are long.
  public static let queryParameterBytesMax = 512 * 1024
  public static let queryBodyBytesMax = 1024 * 1024
  /// Bytes of the text of a refusal, which may repeat what was asked.
  static let errorBytesMax = 2000
  /// Selectors of one request for series or labels.
  public static let selectorsMax = 64
  /// Series that one federation gives out: more than that is another kind of traffic.
  static let federatedSeriesMax = 1_000_000
  /// Queries computed at once; further ones are refused.
  public static let queriesMax = 20
  /// A query is given up after this long, whatever it asked for.
  public static let querySecondsMax: Int64 = 120
  /// Instants that a query may name, milliseconds since 1970: ten thousand years either way, so that differences fit.
  static let queryTimeRange: ClosedRange<Int64> = -315_569_520_000_000...315_569_520_000_000

  /// Exports at once: each keeps the disk busy.
  static let exportsMax = 4
  /// Pages that may watch at once.
  public static let viewersMax = 512
  /// A viewer hears something at least this often, and is cut off when it takes nothing for so many beats.
  static let viewerBeatSeconds: Int64 = 5
  static let viewerBeatsMissedMax = 6
  /// Bytes that wait for a slow viewer in this process, and again in the kernel.
  static let viewerBufferBytes = 8 * 1024
  /// Racks, nodes and GPUs that one frame tells of.
  public static let racksPerFrameMax = 2500
  public static let nodesPerFrameMax = 200
  public static let gpusPerFrameMax = 128
  /// Bytes gathered before a part of a stream is sent.
  static let streamChunkBytes = 64 * 1024
  /// How long the page's login lasts; the token may end earlier.
  static let loginSecondsMax = 30 * 86_400
  /// Bytes in a configured token, so that a short one cannot be guessed.
  public static let tokenBytesMin = 16
  public static let tokenBytesMax = 512
}
