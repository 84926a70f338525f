package server

import (
	"reflect"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"ndock/docker/agent/config"
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
		engine.api = "1.44"
		found := engine.images[imageTag(imageID)]
		found.Config = &dockerspec.DockerOCIImageConfig{DockerOCIImageConfigExt: dockerspec.DockerOCIImageConfigExt{Healthcheck: c.image}}
		engine.images[imageTag(imageID)] = found
		created(t, engine, small())
		if got := engine.containers[namePrefix+serverID].Config.Healthcheck; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestTheOperatorDecidesOnHealthchecks(t *testing.T) {
	rules := config.Default()
	from := image.InspectResponse{Config: &dockerspec.DockerOCIImageConfig{DockerOCIImageConfigExt: dockerspec.DockerOCIImageConfigExt{
		Healthcheck: &container.HealthConfig{Test: []string{"CMD", "true"}, Interval: time.Minute},
	}}}
	rules.HealthcheckMin = 120
	if got := healthcheckOf(from, rules, "1.44"); got.Interval != 2*time.Minute {
		t.Errorf("got %+v", got)
	}
	from.Config.Healthcheck = &container.HealthConfig{Test: []string{"CMD", "true"}} // Docker would check every 30 s, and every 5 s at first
	if got := healthcheckOf(from, rules, "1.44"); got.Interval != 2*time.Minute || got.StartInterval != 2*time.Minute {
		t.Errorf("got %+v", got)
	}
	rules.HealthcheckMin = 1
	if got := healthcheckOf(from, rules, "1.44"); got.Interval != 30*time.Second || got.StartInterval != 5*time.Second {
		t.Errorf("got %+v", got)
	}
	rules.Healthcheck = false
	if got := healthcheckOf(from, rules, "1.44"); !reflect.DeepEqual(got, &container.HealthConfig{Test: []string{"NONE"}}) {
		t.Errorf("got %+v", got)
	}
	if got := healthcheckOf(image.InspectResponse{}, rules, "1.44"); got != nil {
		t.Errorf("got %+v", got)
	}
}

// TestAnEngineWithoutStartIntervals makes the server all the same, and checks no more often while it starts.
func TestAnEngineWithoutStartIntervals(t *testing.T) {
	engine := withImage(t)
	found := engine.images[imageTag(imageID)]
	found.Config = &dockerspec.DockerOCIImageConfig{DockerOCIImageConfigExt: dockerspec.DockerOCIImageConfigExt{
		Healthcheck: &container.HealthConfig{Test: []string{"CMD", "true"}, StartPeriod: time.Minute, StartInterval: time.Second},
	}}
	engine.images[imageTag(imageID)] = found
	created(t, engine, small())
	if got := engine.containers[namePrefix+serverID].Config.Healthcheck; got.StartInterval != 0 || got.Interval != 30*time.Second {
		t.Errorf("got %+v", got)
	}
}
