//go:build unix && !linux

package socket

// noNewPrivileges is Linux's alone.
func noNewPrivileges() error { return nil }
