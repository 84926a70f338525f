package instance_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"ndock/docker/agent/agenttest"
	"ndock/docker/agent/naming"
	"ndock/docker/engine/enginetest"
)

// TestHealthcheck: an image does not decide how often Docker works for it.
func TestHealthcheck(t *testing.T) {
	const day = 24 * time.Hour
	test := []string{"CMD", "true"}
	for name, c := range map[string]struct{ image, want *container.HealthConfig }{
		"none":         {},
		"defaults":     {&container.HealthConfig{Test: test}, &container.HealthConfig{Test: test, Interval: 30 * time.Second, StartInterval: 10 * time.Second}},
		"usual":        {&container.HealthConfig{Test: test, Interval: time.Minute, Timeout: 5 * time.Second, Retries: 5}, &container.HealthConfig{Test: test, Interval: time.Minute, StartInterval: 10 * time.Second, Timeout: 5 * time.Second, Retries: 5}},
		"switched off": {&container.HealthConfig{Test: []string{"NONE"}}, &container.HealthConfig{Test: []string{"NONE"}}},
		"all the time": {
			&container.HealthConfig{Test: test, Interval: time.Millisecond, Timeout: time.Millisecond, StartPeriod: 1 << 62, StartInterval: time.Millisecond, Retries: 1 << 40},
			&container.HealthConfig{Test: test, Interval: 10 * time.Second, Timeout: time.Second, StartPeriod: time.Hour, StartInterval: 10 * time.Second, Retries: 100},
		},
		"less than nothing": {
			&container.HealthConfig{Test: test, Interval: -1, Timeout: -1, StartPeriod: -1, StartInterval: -1, Retries: -1},
			&container.HealthConfig{Test: test, Interval: 10 * time.Second, Timeout: time.Second, StartInterval: 10 * time.Second},
		},
		"one that never ends": {&container.HealthConfig{Test: test, Interval: 1 << 62, Timeout: 1 << 62}, &container.HealthConfig{Test: test, Interval: day, StartInterval: 10 * time.Second, Timeout: 10 * time.Minute}},
	} {
		engine := withImage(t)
		engine.API = "1.44"
		found := engine.Images[naming.ImageTag(enginetest.ImageID)]
		found.Config = &dockerspec.DockerOCIImageConfig{DockerOCIImageConfigExt: dockerspec.DockerOCIImageConfigExt{Healthcheck: c.image}}
		engine.Images[naming.ImageTag(enginetest.ImageID)] = found
		created(t, engine, small())
		if got := engine.Containers[naming.Container(enginetest.ServerID)].Config.Healthcheck; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

// TestHealthcheckOfAUser: for each check Docker would open the accounts of a server that runs, were it to run as a user. What it is
// not given, its log says.
func TestHealthcheckOfAUser(t *testing.T) {
	for name, c := range map[string]struct {
		image, userData string
		check           []string // the image's
		want, told      bool
	}{
		"nobody in particular": {"", "", []string{"CMD", "true"}, true, false},
		"other user data":      {"", `{"env":{"A":"b"}}`, []string{"CMD", "true"}, true, false},
		"the image's":          {"www-data", "", []string{"CMD", "true"}, false, true},
		"root, by name":        {"root", "", []string{"CMD-SHELL", "true"}, false, true},
		"root, by number":      {"0:0", "", []string{"CMD", "true"}, false, true},
		"the user data's":      {"", `{"user":"0"}`, []string{"CMD", "true"}, false, true},
		"both":                 {"1000", `{"user":"1001:1001"}`, []string{"CMD", "true"}, false, true},
		"switched off":         {"root", "", []string{"NONE"}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			engine := withImage(t)
			found := engine.Images[naming.ImageTag(enginetest.ImageID)]
			found.Config = &dockerspec.DockerOCIImageConfig{DockerOCIImageConfigExt: dockerspec.DockerOCIImageConfigExt{Healthcheck: &container.HealthConfig{Test: c.check}}}
			found.Config.User = c.image
			engine.Images[naming.ImageTag(enginetest.ImageID)] = found
			wanted := small()
			if c.userData != "" {
				wanted.UserData = agenttest.UserData(c.userData)
			}
			created(t, engine, wanted)
			if got := engine.Containers[naming.Container(enginetest.ServerID)].Config.Healthcheck.Test; !c.want && !slices.Equal(got, []string{"NONE"}) || c.want && !slices.Equal(got, c.check) {
				t.Errorf("it is checked by %q", got)
			}
			_, log := ask(t, engine, "GET", consolePath, "")
			if told := strings.Contains(log, "HEALTHCHECK is not run"); told != c.told {
				t.Errorf("the log is %q", log)
			}
		})
	}
}

// TestAnEngineWithoutStartIntervals makes the server all the same, and checks no more often while it starts.
func TestAnEngineWithoutStartIntervals(t *testing.T) {
	engine := withImage(t)
	found := engine.Images[naming.ImageTag(enginetest.ImageID)]
	found.Config = &dockerspec.DockerOCIImageConfig{DockerOCIImageConfigExt: dockerspec.DockerOCIImageConfigExt{
		Healthcheck: &container.HealthConfig{Test: []string{"CMD", "true"}, StartPeriod: time.Minute, StartInterval: time.Second},
	}}
	engine.Images[naming.ImageTag(enginetest.ImageID)] = found
	created(t, engine, small())
	if got := engine.Containers[naming.Container(enginetest.ServerID)].Config.Healthcheck; got.StartInterval != 0 || got.Interval != 30*time.Second {
		t.Errorf("got %+v", got)
	}
}
