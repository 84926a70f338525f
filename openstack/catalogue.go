package openstack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/gophercloud/gophercloud/v2/openstack/utils"
)

// ErrNoEndpoint is what the search for a service ends in that the catalogue does not have.
var ErrNoEndpoint = errors.New("the catalogue has no such endpoint")

// Reach looks a service up in the catalogue, by its type, and has it answer. It returns the endpoint's URL, also when
// nobody answers there.
func (c *Cloud) Reach(ctx context.Context, service string) (string, error) {
	options := c.endpoint
	options.ApplyDefaults(service)
	url, err := c.provider.EndpointLocator(options)
	if err != nil {
		where := fmt.Sprintf("find the %s endpoint of type %s in region %s", options.Availability, service, cmp.Or(options.Region, "any"))
		return "", c.noEndpoint(where, ErrNoEndpoint)
	}
	root, err := utils.BaseVersionedEndpoint(url)
	if err != nil {
		return url, &Error{Op: "read the endpoint " + url, Err: err}
	}
	_, err = c.provider.Request(ctx, http.MethodGet, root, &gophercloud.RequestOpts{OkCodes: []int{http.StatusOK, http.StatusMultipleChoices}})
	if err != nil {
		return url, explain("ask "+root, err)
	}
	return url, nil
}

// ErrNoRegion is what the search for a service ends in when the whole region is missing: its name is mostly wrong.
var ErrNoRegion = errors.New("the catalogue has no such region")

// noEndpoint says what to do about a service that the catalogue does not have.
func (c *Cloud) noEndpoint(op string, err error) error {
	failure := &Error{Op: op, Err: err}
	regions, wanted := c.regions(), c.endpoint.Region
	switch {
	case len(regions) == 0 && c.project() == "":
		failure.hint = "the login is for no project, and the catalogue empty: export OS_PROJECT_NAME=PROJECT, or give project_name in clouds.yaml"
	case wanted != "" && len(regions) > 0 && !slices.Contains(regions, wanted):
		failure.Err = fmt.Errorf("%w as %s", ErrNoRegion, wanted)
		failure.hint = "there are " + strings.Join(regions, ", ") + "; OS_REGION_NAME, or region_name in clouds.yaml, says which"
	}
	return failure
}

// regions returns the regions of the catalogue, in order.
func (c *Cloud) regions() []string {
	token, ok := c.provider.GetAuthResult().(interface {
		ExtractServiceCatalog() (*tokens.ServiceCatalog, error)
	})
	if !ok {
		return nil
	}
	catalogue, err := token.ExtractServiceCatalog()
	if err != nil {
		return nil // Keystone has sent none
	}
	var regions []string
	for _, service := range catalogue.Entries {
		for _, endpoint := range service.Endpoints {
			if region := cmp.Or(endpoint.Region, endpoint.RegionID); region != "" {
				regions = append(regions, region)
			}
		}
	}
	slices.Sort(regions)
	return slices.Compact(regions)
}

// ids returns the ids that an endpoint can have in it.
func (c *Cloud) ids() map[string]string {
	session := c.Session()
	ids := map[string]string{"project_id": session.ProjectID, "tenant_id": session.ProjectID}
	if token, ok := c.provider.GetAuthResult().(interface {
		ExtractUser() (*tokens.User, error)
	}); ok {
		if user, err := token.ExtractUser(); err == nil && user != nil {
			ids["user_id"] = user.ID
		}
	}
	return ids
}
