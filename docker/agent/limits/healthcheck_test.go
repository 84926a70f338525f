package limits

import (
	"reflect"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"ndock/docker/agent/config"
)

func TestTheOperatorDecidesOnHealthchecks(t *testing.T) {
	operators := config.Default()
	from := image.InspectResponse{Config: &dockerspec.DockerOCIImageConfig{DockerOCIImageConfigExt: dockerspec.DockerOCIImageConfigExt{
		Healthcheck: &container.HealthConfig{Test: []string{"CMD", "true"}, Interval: time.Minute},
	}}}
	operators.HealthcheckMin = 120
	if got, _ := Healthcheck(from, "", operators, "1.44"); got.Interval != 2*time.Minute {
		t.Errorf("got %+v", got)
	}
	from.Config.Healthcheck = &container.HealthConfig{Test: []string{"CMD", "true"}} // Docker would check every 30 s, and every 5 s at first
	if got, _ := Healthcheck(from, "", operators, "1.44"); got.Interval != 2*time.Minute || got.StartInterval != 2*time.Minute {
		t.Errorf("got %+v", got)
	}
	operators.HealthcheckMin = 1
	if got, _ := Healthcheck(from, "", operators, "1.44"); got.Interval != 30*time.Second || got.StartInterval != 5*time.Second {
		t.Errorf("got %+v", got)
	}
	operators.Healthcheck = false
	if got, _ := Healthcheck(from, "", operators, "1.44"); !reflect.DeepEqual(got, &container.HealthConfig{Test: []string{"NONE"}}) {
		t.Errorf("got %+v", got)
	}
	if got, _ := Healthcheck(image.InspectResponse{}, "", operators, "1.44"); got != nil {
		t.Errorf("got %+v", got)
	}
}
