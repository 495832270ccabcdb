package server

import (
	"flag"
	"os"
	"testing"
	"time"
)

// patience is how long a test waits before it fails. It is long, for the machine may be busy, or the race detector at work.
const patience = time.Minute

// TestMain lets many tests run at a time: those that are parallel wait for clocks more than for the processor.
func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "24")
	os.Exit(m.Run())
}
