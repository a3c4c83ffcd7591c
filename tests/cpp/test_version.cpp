#include "core/version.hpp"

#include <gtest/gtest.h>

TEST(Version, IsTheOneOfTheProject) { EXPECT_EQ(truetile::version(), TRUETILE_VERSION); }
