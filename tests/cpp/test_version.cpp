#include <gtest/gtest.h>

#include "core/version.hpp"

TEST(Version, IsTheOneOfTheProject) { EXPECT_EQ(truetile::version(), TRUETILE_VERSION); }
