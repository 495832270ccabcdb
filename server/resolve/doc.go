// Package resolve looks up the addresses of hosts outside the zones, for covers and for targets of decoys.
//
// A [Resolver] asks the operator's resolvers again when a TTL ends, and keeps the last good answer while they fail. It takes an address only
// from the name that was asked, or from an alias of it, and only one that a host in the Internet can have.
//
// It is no recursive resolver: it follows no referral and validates nothing. The standards are RFC 1034 5.3 and RFC 2181 5.4.1.
package resolve
