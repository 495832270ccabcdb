// Package peer says who other name servers are.
//
// A [Peer] is an address, a prefix, a TSIG key, or an address and a key. [Access] is the operator's word on who may transfer zones and who is
// notified. tsig.go signs and verifies messages (RFC 8945), message by message, as both answers and transfers need it. [Ask] asks one
// question of another server.
//
// It decides nothing about zones, and keeps no connection.
package peer
