// Package socket carries packets between the network and package answer.
//
// [Listeners] has the UDP and TCP sockets of each address, and the HTTP address. UDP comes in batches of one system call
// (packets_linux.go; packets_one.go elsewhere), one socket a worker. TCP connections have bounds, and those that are idle make room for
// others (tcp.go, connections.go). Sockets may be inherited from the service manager, and the process gives up its privileges once they are open.
//
// It knows no zone and judges no query. The standards are RFC 7766 and 9210 (DNS over TCP) and RFC 9715 (no fragments).
package socket
