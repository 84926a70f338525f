package steps

import (
	"context"
	"strings"
	"testing"

	"ndock/openstack/node"
)

func TestOrphansAreNamedAndRemoved(t *testing.T) {
	f := newFake(t, false)
	_, err := f.setup()
	f.must(err)
	f.sure, f.unsure = []string{"the veth pair tap1"}, []string{"server 2"}
	if got := f.plan(); got != "orphans: remove the veth pair tap1" {
		t.Errorf("planned\n%s", got)
	}
	said, err := f.setup()
	f.must(err)
	if !strings.Contains(said, "orphans: remove the veth pair tap1") || len(f.sure) > 0 {
		t.Errorf("left %v, said\n%s", f.sure, said)
	}
	if got := f.status("orphans"); got.State != node.Done || got.Detail != "left alone, as they may be of use: server 2" {
		t.Errorf("got %v", got)
	}
}

// TestOnlyATeardownRemovesImages: a setup that is interrupted after the orphans goes back, and keeps them.
func TestOnlyATeardownRemovesImages(t *testing.T) {
	f := newFake(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	f.cached, f.sure, f.interrupt = 2, []string{"the veth pair tap1"}, cancel
	var said lines
	if _, err := node.Setup(ctx, f.Steps(), said.report); err == nil || !strings.Contains(said.String(), "undo: nova-compute: ") || f.cached != 2 {
		t.Errorf("%d images are left; got %v, and said\n%s", f.cached, err, &said)
	}
}
