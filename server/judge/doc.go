// Package judge tells who is to be kept out, from what clients did at decoys and whether they came to real hosts.
//
// A verdict is a function of facts and a time (verdict.go): sightings of the catch, visits to real exchanges, outages, and the operator's
// pardons. It convicts a single IPv4 address or an IPv6 /64, and pardons the /24 or /64 around it. The [Book] keeps the facts in memory
// and in a file that outlives the process (book.go, file.go). Visits come from Postfix, which asks a [Policy] (policy.go) and always hears
// DUNNO.
//
// Nothing is kept out by this package: it says what would be.
package judge
