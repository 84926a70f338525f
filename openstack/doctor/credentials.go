package doctor

import (
	"context"
	"errors"
	"strings"

	"ndock/openstack"
	"ndock/openstack/clouds"
)

// credentials logs in, as all other commands do.
func credentials(ctx context.Context, x *examination) Finding {
	cloud, err := x.open(ctx)
	if err != nil {
		return broken(credentialsMend(err), "%s", reason(err))
	}
	x.cloud, x.session = cloud, cloud.Session()
	if x.session.ProjectID == "" {
		return broken("export OS_PROJECT_NAME=PROJECT", "user %s is logged in, but to no project", x.session.User)
	}
	return well("user %s in project %s, with the roles %s", x.session.User, x.session.Project, strings.Join(x.session.Roles, ", "))
}

// credentialsMend tells credentials that Keystone does not take from those that are not there, and from a Keystone that is not.
func credentialsMend(err error) string {
	var explained *openstack.Error
	if !errors.As(err, &explained) {
		return showCredentials
	}
	switch {
	case errors.Is(err, clouds.ErrLoginMethod):
		return "openstack application credential create NAME"
	case explained.Setting == clouds.SettingCA:
		return "export OS_CACERT=FILE"
	case explained.Setting == clouds.SettingAuthURL:
		return "export OS_AUTH_URL=https://KEYSTONE:5000/v3"
	case explained.Setting == clouds.SettingCloud:
		return "export OS_CLOUD=NAME"
	case explained.Status != 0:
		return lookInto(err)
	}
	return showCredentials
}

// showCredentials shows what clouds.yaml and the variables say, without secrets.
const showCredentials = "openstack configuration show"
