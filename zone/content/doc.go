// Package content is the records of a zone while it is loaded.
//
// A [Record] has an owner, data in wire format, and the place where it was written. [New] sorts records into RRsets under the names that
// exist, with those that exist only for names below them, and says what a name is to the zone: its own, an alias, delegated, gone.
// An [Arena] has the memory of names and data, so that a load of very many zones allocates little.
//
// It judges nothing and serves nothing. The standards are RFC 1034 3.6, RFC 2181 5 (RRsets) and RFC 4592 2.2 (names that exist).
package content
