// Package list is the list of a running server: it brings what the catch sees and what real hosts tell to the judge, keeps it in the folder of
// state, and makes of the verdicts the clients of a DNSBL (RFC 5782).
//
// config.go reads the table [list]. keeper.go takes facts in: a [Keeper] owns the book of package judge. clients.go says what the DNSBL has of
// each listed client.
//
// It answers nobody: the zone of the listed clients is compiled, served and transferred like every other.
package list
