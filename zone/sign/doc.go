// Package sign signs zones (DNSSEC).
//
// A [Key] comes from BIND's key files or from one secret for all zones, and its times say what it does when (key.go, keyfile.go, times.go,
// secret.go). A [Plan] is what signing a zone at one moment comes to: its DNSKEY, CDS and CDNSKEY records, the keys that sign, and the
// [Window] in which signatures are valid (plan.go, window.go). [Plan.Apply] adds those records and the chain that denies all other
// names (chain.go, nsec3.go), and a plan signs an RRset (rrset.go).
//
// The same files and the same second give the same octets everywhere. This package reads no clock, and never makes a key unasked.
// The standards are RFC 4033-4035, 5155 (NSEC3), 6840, 6979 (deterministic ECDSA), 7344 (CDS), 7583 (times) and 9077 (TTL of NSEC).
package sign
