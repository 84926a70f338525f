package openstack

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"ndock/openstack/fakecloud"
	"ndock/openstack/internal/openstacktest"
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
	if len(servers) != 0 {
		t.Errorf("servers %+v, want none: none came up", servers)
	}
	request, _ := fake.All(fakecloud.Server)[0]["request"].(string)
	var first *Error
	if !errors.As(err, &first) || first.RequestID != request {
		t.Errorf("error %v, want the id of the request for the servers, %s", err, request)
	}
	openstacktest.WantError(t, first, `server "s-1" is in ERROR: it is a qcow2 disk image, not a Docker archive (req-`)
	openstacktest.WantHint(t, err, "'ndock delete 20000000-0000-4000-8000-000000000001' removes it")
}

func TestWaitTimesOut(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	breaks(t, fake, fakecloud.NovaHangs)
	options := bootOptions(fake)
	options.Wait = waiting(300 * time.Millisecond)
	_, err := cloud.Boot(t.Context(), options)
	openstacktest.WantError(t, err, `boot server "s": not done after 300ms; the last status was BUILD`)
	openstacktest.WantHint(t, err, "--timeout gives it longer; 'ndock show 20000000-0000-4000-8000-000000000001' shows how far it is")
	if len(fake.All(fakecloud.Server)) != 1 {
		t.Error("the server has gone")
	}
}

// TestWaitReturnsThoseThatCameUp: a script must not take for a server what is none.
func TestWaitReturnsThoseThatCameUp(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	breaks(t, fake, fakecloud.SecondFails)
	options := bootOptions(fake)
	options.Count = 3
	options.Wait = waiting(hour)
	servers, err := cloud.Boot(t.Context(), options)
	openstacktest.WantError(t, err, `server "s-2" is in ERROR: `)
	if len(servers) != 2 || servers[0].Name != "s-1" || servers[1].Name != "s-3" {
		t.Errorf("servers %+v, want s-1 and s-3", servers)
	}
}

// TestWaitOutlivesHiccups: one 502 of a proxy is not the end of what goes on behind it.
func TestWaitOutlivesHiccups(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	breaks(t, fake, fakecloud.Hiccups)
	var mu sync.Mutex
	var told []string
	wait := waiting(hour)
	wait.Tell = func(op, status string) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, op+": "+status)
	}
	options := bootOptions(fake)
	options.Count, options.Wait = 2, wait
	servers, err := cloud.Boot(t.Context(), options)
	if err != nil || len(servers) != 2 || servers[0].Status != "ACTIVE" || servers[1].Status != "ACTIVE" {
		t.Fatalf("servers %+v (%v), want both ACTIVE", servers, err)
	}
	mu.Lock()
	if !slices.ContainsFunc(told, func(line string) bool {
		return strings.HasPrefix(line, `boot server "s-1": look at server `) && strings.HasSuffix(line, "; asking again")
	}) {
		t.Errorf("told %q, and nothing of the 502", told)
	}
	mu.Unlock()
	if image, err := cloud.Snapshot(t.Context(), servers[0].ID, "saved", wait); err != nil || image.Status != "active" {
		t.Errorf("snapshot %+v (%v), want it active", image, err)
	}
	if image, err := cloud.Snapshot(t.Context(), servers[0].ID, "later", Wait{}); err != nil || image.Name != "later" {
		t.Errorf("snapshot that is not waited for: %+v (%v)", image, err)
	}
	if pushed, err := cloud.PushImage(t.Context(), pushOptions(strings.NewReader("an image"))); err != nil || pushed.Status != "active" {
		t.Errorf("pushed %+v (%v), want it active", pushed, err)
	}
	for _, verb := range []Verb{Stop, Delete} {
		if err := cloud.Act(t.Context(), verb, wait, servers[1].ID); err != nil {
			t.Errorf("%s: %v", verb, err)
		}
	}
}

// TestWaitGivesUpOnARefusal: what is no hiccup ends it.
func TestWaitGivesUpOnARefusal(t *testing.T) {
	t.Parallel()
	asked := 0
	err := waiting(hour).poll(t.Context(), "wait", func(context.Context) (string, bool, error) {
		asked++
		return "", false, gophercloud.ErrUnexpectedResponseCode{Actual: 403}
	})
	if err == nil || asked != 1 {
		t.Errorf("asked %d times (%v), want once", asked, err)
	}
}

// TestWaitAsksThoughToldToGoAway: a service that says to come back in an hour may be back at once.
func TestWaitAsksThoughToldToGoAway(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status        int
		timeout, back time.Duration
		want          string
	}{
		"back soon":         {503, retryTimeout, 10 * time.Second, ""},
		"back late":         {503, 10 * time.Minute, 9 * time.Minute, ""},
		"too many requests": {429, 10 * time.Minute, time.Minute, "it asks to wait for 1h0m0s"}, // and is left alone
	} {
		synctest.Test(t, func(t *testing.T) {
			begun, asked := time.Now(), 0
			err := waiting(test.timeout).poll(t.Context(), "wait", func(context.Context) (string, bool, error) {
				if asked++; time.Since(begun) >= test.back {
					return "ACTIVE", true, nil
				}
				away := gophercloud.ErrUnexpectedResponseCode{Actual: test.status, ResponseHeader: http.Header{"Retry-After": {"3600"}}}
				return "", false, explain("look at it", away)
			})
			if asked > 12 || (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: asked %d times: %v", name, asked, err)
			}
		})
	}
}

// TestWaitSaysWhatKeptItFromKnowing when the time is over.
func TestWaitSaysWhatKeptItFromKnowing(t *testing.T) {
	t.Parallel()
	err := waiting(300*time.Millisecond).poll(t.Context(), "wait", func(context.Context) (string, bool, error) {
		return "", false, explain("look at it", gophercloud.ErrUnexpectedResponseCode{Actual: 502})
	})
	openstacktest.WantError(t, err, "wait: not done after 300ms; look at it: Bad Gateway")
}

// TestWaitForManyAtOnce: all have the same time, because all are waited for at once: here the first to be told of goes
// on only when the second is, too.
func TestWaitForManyAtOnce(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	breaks(t, fake, fakecloud.NovaHangs)
	fake.Add(fakecloud.Server, "a")
	fake.Add(fakecloud.Server, "b")
	ctx, interrupt := context.WithCancel(t.Context())
	alone := time.AfterFunc(20*time.Second, interrupt)
	defer alone.Stop()
	var both sync.WaitGroup
	both.Add(2)
	wait := waiting(hour)
	met := make(chan struct{})
	wait.Tell = func(op, _ string) {
		both.Done()
		select {
		case <-met:
		case <-ctx.Done():
			select {
			case <-met: // and then interrupted
			default:
				t.Errorf("%s is waited for alone", op)
			}
		}
	}
	go func() {
		both.Wait()
		close(met)
		if !alone.Stop() {
			return
		}
		interrupt()
	}()
	if err := cloud.Act(ctx, Stop, wait, "a", "b"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the interruption", err)
	}
}

// TestStartOfWhatEndsAtOnce: Nova has started it, and it is off again.
func TestStartOfWhatEndsAtOnce(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	id := fake.Add(fakecloud.Server, "s")
	if err := cloud.Act(t.Context(), Stop, waiting(hour), "s"); err != nil {
		t.Fatal(err)
	}
	breaks(t, fake, fakecloud.ProcessEnds)
	err := cloud.Act(t.Context(), Start, waiting(hour), "s")
	openstacktest.WantError(t, err, `start server "s": it came up and is SHUTOFF already: its process has ended`)
	openstacktest.WantHint(t, err, "'ndock logs "+id+"' shows what it said")
	fake.Mend(fakecloud.ProcessEnds)
	if err := cloud.Act(t.Context(), Start, waiting(hour), "s"); err != nil {
		t.Fatal(err)
	}
	breaks(t, fake, fakecloud.ProcessEnds)
	err = cloud.Act(t.Context(), HardReboot, waiting(hour), "s")
	openstacktest.WantError(t, err, `reboot --hard server "s": it came up and is SHUTOFF already`)
}

// TestSoftDelete: the server is there for its reclaim, and deleted for its owner.
func TestSoftDelete(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	fake.Add(fakecloud.Server, "s")
	breaks(t, fake, fakecloud.SoftDelete)
	if err := cloud.Act(t.Context(), Delete, waiting(hour), "s"); err != nil {
		t.Fatal(err)
	}
}

// TestDeletedIsNotGone: Nova calls a server deleted while it still lists it.
func TestDeletedIsNotGone(t *testing.T) {
	t.Parallel()
	fake, cloud := newFake(t)
	fake.Add(fakecloud.Server, "s")
	if err := cloud.Act(t.Context(), Delete, waiting(hour), "s"); err != nil {
		t.Fatal(err)
	}
	if servers, err := cloud.Servers(t.Context()); err != nil || len(servers) != 0 {
		t.Errorf("after the wait there are %v, %v", servers, err)
	}
}

// TestWaitEndsWhereTheHostIsLost, for those who may see that. Others are told what may help when the time is over.
func TestWaitEndsWhereTheHostIsLost(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		verb       Verb
		shown      fakecloud.Object
		says, hint string
	}{
		"not heard of":          {Stop, fakecloud.Object{"host_status": "UNKNOWN", "OS-EXT-SRV-ATTR:host": "node-1"}, `stop server "s": its host node-1 is down, and the server is ACTIVE (powering-off) (req-`, "'openstack server evacuate ID' has the server made anew"},
		"said to be down":       {Reboot, fakecloud.Object{"host_status": "DOWN"}, `reboot server "s": its host is down, and the server is ACTIVE (rebooting) (req-`, "Nova goes on when the host is back"},
		"a delete":              {Delete, fakecloud.Object{"host_status": "UNKNOWN"}, `delete server "s": its host is down, and the server is ACTIVE (deleting) (req-`, "'ndock delete ID' once more deletes it without its host"},
		"a host that is up":     {Stop, fakecloud.Object{"host_status": "UP"}, `stop server "s": not done after 2s; the last status was ACTIVE`, "'ndock show ID' shows how far it is"},
		"of which no one tells": {Delete, fakecloud.Object{}, `delete server "s": not done after 2s; the last status was ACTIVE`, "where its host is lost, 'ndock delete ID' once more deletes it without the host"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, cloud := newFake(t)
			id := fake.Add(fakecloud.Server, "s", fakecloud.Object{"status": "ACTIVE"}, test.shown)
			breaks(t, fake, fakecloud.NovaHangs)
			err := cloud.Act(t.Context(), test.verb, waiting(2*time.Second), "s")
			openstacktest.WantError(t, err, test.says)
			openstacktest.WantHint(t, err, strings.ReplaceAll(test.hint, "ID", id))
		})
	}
}

// TestAHostThatIsBackSoon is waited for.
func TestAHostThatIsBackSoon(t *testing.T) {
	t.Parallel()
	begun, watch := time.Now(), &hostWatch{timeout: 30 * time.Second}
	for _, answer := range []struct {
		after time.Duration // since it began
		says  string
		lost  bool
	}{
		{0, `"UNKNOWN"`, false},
		{29 * time.Second, `"DOWN"`, false},
		{31 * time.Second, `"UP"`, false},
		{40 * time.Second, `"UNKNOWN"`, false},
		{69 * time.Second, `"UNKNOWN"`, false},
		{70 * time.Second, `"UNKNOWN"`, true},
		{71 * time.Second, `5`, false},
		{72 * time.Second, `"MAINTENANCE"`, false},
		{73 * time.Second, `"UNKNOWN"`, false},
	} {
		var body any
		if err := json.Unmarshal([]byte(`{"server": {"host_status": `+answer.says+`}}`), &body); err != nil {
			t.Fatal(err)
		}
		if lost := watch.isLost(gophercloud.Result{Body: body}, begun.Add(answer.after)); lost != answer.lost {
			t.Errorf("after %s and %s it is lost: %t", answer.after, answer.says, lost)
		}
	}
}

// TestWaitTimesOutBeforeAnAnswer: nothing is known of the status then.
func TestWaitTimesOutBeforeAnAnswer(t *testing.T) {
	t.Parallel()
	err := Wait{Timeout: time.Nanosecond}.poll(t.Context(), "wait for it", func(ctx context.Context) (string, bool, error) {
		<-ctx.Done()
		return "", false, ctx.Err()
	})
	openstacktest.WantError(t, err, "wait for it: not done after 1ns")
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
		if err := cloud.Act(t.Context(), step.verb, waiting(hour), "s"); err != nil {
			t.Fatal(err)
		}
		if server, err := cloud.Server(t.Context(), id); err != nil || server.Status != step.want || server.Task != "" {
			t.Errorf("after %s it is %s %s (%v), want %s", step.verb, server.Status, server.Task, err, step.want)
		}
	}
	err := cloud.Act(t.Context(), Unpause, waiting(hour), "s")
	openstacktest.WantError(t, err, `unpause server "s": Cannot 'unpause' instance `+id+" while it is in vm_state active (req-")

	if err := cloud.Act(t.Context(), Delete, waiting(hour), "s"); err != nil {
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
		err := cloud.Act(t.Context(), verb, waiting(hour), "s")
		openstacktest.WantError(t, err, string(verb)+` server "s": it failed on the compute node (`+fake.All(fakecloud.Server)[0]["request"].(string)+")")
		openstacktest.WantHint(t, err, "nova-compute's log has the reason")
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
	openstacktest.WantError(t, err, `snapshot server "s": it failed, and Nova removed the image (req-`)
	openstacktest.WantHint(t, err, "nova-compute's log has the reason")
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
		if got := LastLines(text, 2); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
