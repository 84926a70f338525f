package openstack

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"ndock/openstack/fakecloud"
)

// hour is a timeout that a test would not live to see: what ends it is never the clock.
const hour = time.Hour

func TestWaitTellsEachStatusOnce(t *testing.T) {
	t.Parallel()
	answers := []string{"BUILD", "BUILD", "", "REBUILD", "REBUILD"}
	var told []string
	wait := Wait{Timeout: hour, Tell: func(_, status string) { told = append(told, status) }}
	err := wait.poll(t.Context(), "wait", func(context.Context) (string, bool, error) {
		status := answers[0]
		answers = answers[1:]
		return status, len(answers) == 0, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"BUILD", "REBUILD"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestWaitForServer(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	options := bootOptions(fake)
	options.Wait = waiting(hour)
	servers, err := cloud.Boot(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"private": {"192.0.2.10", "2001:db8::10"}}
	if server := servers[0]; server.Status != "ACTIVE" || !reflect.DeepEqual(server.Addresses, want) {
		t.Errorf("server %+v, want it ACTIVE with its addresses", server)
	}
}

func TestWaitEndsWithTheFault(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	breaks(t, fake, fakecloud.BootFails)
	options := bootOptions(fake)
	options.Count = 2
	options.Wait = waiting(hour)
	servers, err := cloud.Boot(t.Context(), options)
	if err == nil {
		t.Fatal("no error")
	}
	if len(servers) != 2 || servers[0].Status != "ERROR" {
		t.Errorf("servers %+v, want both, in ERROR", servers)
	}
	request, _ := fake.All(fakecloud.Server)[0]["request"].(string)
	var first *Error
	if !errors.As(err, &first) || first.RequestID != request {
		t.Errorf("error %v, want the id of the request for the servers, %s", err, request)
	}
	wantError(t, first, `server "s-1" is in ERROR: it is a qcow2 disk image, not a Docker archive (req-`)
	wantHint(t, err, "'ndock delete "+servers[0].ID+"' removes it")
}

func TestWaitTimesOut(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	breaks(t, fake, fakecloud.NovaHangs)
	options := bootOptions(fake)
	options.Wait = waiting(300 * time.Millisecond)
	_, err := cloud.Boot(t.Context(), options)
	wantError(t, err, `boot server "s": not done after 300ms; the last status was BUILD`)
	wantHint(t, err, "--timeout gives it longer")
	if len(fake.All(fakecloud.Server)) != 1 {
		t.Error("the server has gone")
	}
}

// TestWaitTimesOutBeforeAnAnswer: nothing is known of the status then.
func TestWaitTimesOutBeforeAnAnswer(t *testing.T) {
	t.Parallel()
	err := Wait{Timeout: time.Nanosecond}.poll(t.Context(), "wait for it", func(ctx context.Context) (string, bool, error) {
		<-ctx.Done()
		return "", false, ctx.Err()
	})
	wantError(t, err, "wait for it: not done after 1ns")
	if got := err.Error(); got != "wait for it: not done after 1ns" {
		t.Errorf("error %q speaks of a status that nobody has seen", got)
	}
}

func TestWaitInterrupted(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	breaks(t, fake, fakecloud.NovaHangs)
	ctx, interrupt := context.WithCancel(t.Context())
	options := bootOptions(fake)
	options.Wait = waiting(hour)
	options.Wait.Tell = func(string, string) { interrupt() }
	if _, err := cloud.Boot(ctx, options); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the interruption", err)
	}
}

func TestVerbs(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	id := fake.Add(fakecloud.Server, "s")
	for _, step := range []struct {
		verb Verb
		want string
	}{{Stop, "SHUTOFF"}, {Start, "ACTIVE"}, {Pause, "PAUSED"}, {Unpause, "ACTIVE"}, {Reboot, "ACTIVE"}, {HardReboot, "ACTIVE"}} {
		if err := cloud.Act(t.Context(), step.verb, "s", waiting(hour)); err != nil {
			t.Fatal(err)
		}
		if server, err := cloud.Server(t.Context(), id); err != nil || server.Status != step.want || server.Task != "" {
			t.Errorf("after %s it is %s %s (%v), want %s", step.verb, server.Status, server.Task, err, step.want)
		}
	}
	err := cloud.Act(t.Context(), Unpause, "s", waiting(hour))
	wantError(t, err, `unpause server "s": Cannot 'unpause' instance `+id+" while it is in vm_state active (req-")

	if err := cloud.Act(t.Context(), Delete, "s", waiting(hour)); err != nil {
		t.Fatal(err)
	}
	if left := fake.All(fakecloud.Server); len(left) != 0 {
		t.Errorf("Nova still has %v", left)
	}
}

// TestVerbThatFails: the status stays what it was, and would be waited for in vain.
func TestVerbThatFails(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	fake.Add(fakecloud.Server, "s")
	breaks(t, fake, fakecloud.ActionsFail)
	for _, verb := range []Verb{Stop, Pause, Delete} {
		err := cloud.Act(t.Context(), verb, "s", waiting(hour))
		wantError(t, err, string(verb)+` server "s": it failed on the compute node (`+fake.All(fakecloud.Server)[0]["request"].(string)+")")
		wantHint(t, err, "nova-compute's log has the reason")
	}
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	fake.Add(fakecloud.Server, "s")
	image, err := cloud.Snapshot(t.Context(), "s", "saved", waiting(hour))
	if err != nil {
		t.Fatal(err)
	}
	if image.Name != "saved" || image.Status != "active" || image.Size != 2048 {
		t.Errorf("image %+v, want saved, active", image)
	}
	if image, err = cloud.Snapshot(t.Context(), "s", "", Wait{}); err != nil || image.Name != "s" {
		t.Errorf("without a name the image is %q (%v), want the server's", image.Name, err)
	}
}

func TestSnapshotThatFails(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	fake.Add(fakecloud.Server, "s")
	breaks(t, fake, fakecloud.SnapshotVanishes)
	_, err := cloud.Snapshot(t.Context(), "s", "saved", waiting(hour))
	wantError(t, err, `snapshot server "s": it failed, and Nova removed the image (req-`)
	wantHint(t, err, "nova-compute's log has the reason")
}

func TestConsole(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	fake.Add(fakecloud.Server, "s")
	for lines, want := range map[int]string{0: "one\ntwo\nthree\n", 1: "three\n", 9: "one\ntwo\nthree\n"} {
		if got, err := cloud.Console(t.Context(), "s", lines); err != nil || got != want {
			t.Errorf("the last %d lines are %q (%v), want %q", lines, got, err, want)
		}
	}
}

func TestLastLines(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "\n": "\n", "a": "a", "a\n": "a\n", "a\nb": "a\nb", "a\nb\n": "a\nb\n", "a\nb\nc": "b\nc", "a\nb\n\n": "b\n\n",
	} {
		if got := lastLines(text, 2); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
