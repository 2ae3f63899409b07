/// Quantiles of sets of values and of classic histograms.
enum Quantile {
  /// The φ-quantile, interpolated between the two nearest values. Sorts `values`; NaN counts as smallest.
  static func value(_ quantile: Double, of values: inout [Double]) -> Double {
    if values.isEmpty || quantile.isNaN { return .nan }
    if quantile < 0 { return -.infinity }
    if quantile > 1 { return .infinity }
    values.sort { $0.isNaN ? !$1.isNaN : $0 < $1 }
    let rank = quantile * Double(values.count - 1)
    let lower = max(0, rank.rounded(.down))
    let upper = min(Double(values.count - 1), lower + 1)
    let weight = rank - rank.rounded(.down)
    return values[Int(lower)] * (1 - weight) + values[Int(upper)] * weight
  }

  /// A bucket of a classic histogram: observations up to and including the bound, cumulative.
  struct Bucket {
    var upperBound: Double
    var count: Double
  }

  /// The φ-quantile by linear interpolation within a bucket. NaN without an infinite bucket or any observation.
  static func value(_ quantile: Double, of buckets: inout [Bucket]) -> Double {
    if quantile.isNaN { return .nan }
    if quantile < 0 { return -.infinity }
    if quantile > 1 { return .infinity }
    buckets.sort { $0.upperBound < $1.upperBound }
    guard let last = buckets.last, last.upperBound == .infinity else { return .nan }
    coalesce(&buckets)
    // Scrapes are not atomic, so a larger bucket may count less; raising it keeps the search monotonic.
    var highest = buckets[0].count
    for index in buckets.indices {
      if buckets[index].count > highest {
        highest = buckets[index].count
      } else if buckets[index].count < highest {
        buckets[index].count = highest
      }
    }
    if buckets.count < 2 { return .nan }
    let observations = buckets[buckets.count - 1].count
    if observations == 0 { return .nan }
    var rank = quantile * observations
    let found = firstIndex(in: buckets, reaching: rank)
    if found == buckets.count - 1 { return buckets[found - 1].upperBound }
    if found == 0, buckets[0].upperBound <= 0 { return buckets[0].upperBound }
    var start = 0.0
    var count = buckets[found].count
    if found > 0 {
      start = buckets[found - 1].upperBound
      count -= buckets[found - 1].count
      rank -= buckets[found - 1].count
    }
    return start + (buckets[found].upperBound - start) * (rank / count)
  }

  /// By bisection, as counts may be NaN and the result must be the same as Prometheus's.
  private static func firstIndex(in buckets: [Bucket], reaching rank: Double) -> Int {
    var low = 0
    var high = buckets.count - 1
    while low < high {
      let middle = (low + high) / 2
      if buckets[middle].count >= rank { high = middle } else { low = middle + 1 }
    }
    return low
  }

  private static func coalesce(_ buckets: inout [Bucket]) {
    var merged: [Bucket] = []
    for bucket in buckets {
      if let last = merged.last, last.upperBound == bucket.upperBound {
        merged[merged.count - 1].count += bucket.count
      } else {
        merged.append(bucket)
      }
    }
    buckets = merged
  }
}
