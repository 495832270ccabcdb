package pace

import (
	"context"
	"testing"
)

// TestNobodyWaitsBeyondItsContext: what takes long has no outcome then.
func TestNobodyWaitsBeyondItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	release := make(chan struct{})
	defer close(release)
	if l := WhileServing(ctx, func() *int { <-release; return new(int) }); l != nil {
		t.Error("a load that nobody waits for has an outcome")
	}
}
