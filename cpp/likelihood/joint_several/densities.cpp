#include "likelihood/joint_several/densities.hpp"

#include <algorithm>

#include "likelihood/joint/moments.hpp"
#include "likelihood/joint/row_total.hpp"
#include "likelihood/joint_several/leverages.hpp"
#include "numeric/lanes.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::likelihood {

namespace {

constexpr double least_parallel_rows = 5000.0;

}  // namespace

JointDensities::JointDensities(const model::Model& model, const model::Response& response, std::vector<int> main,
                               std::vector<int> main_of, int n_variables, int threads, const Monitor& monitor)
    : model_(model),
      response_(response),
      main_(std::move(main)),
      main_of_(std::move(main_of)),
      n_variables_(n_variables),
      threads_(static_cast<double>(model.n_rows()) < least_parallel_rows
                   ? 1
                   : std::min(threads, static_cast<int>(model.chunks().size()))),
      monitor_(monitor),
      partial_(model.chunks().size()) {
  const auto n = static_cast<std::size_t>(model.n_rows()) + 2 * numeric::lane_count;
  fixed_.assign(main_.size(), std::vector<double>(n));
  at_ = fixed_;
  value_.resize(n);
}

double JointDensities::evaluate(const double* u, bool third) {
  return row_total(model_, threads_, monitor_, value_.data(), partial_, [&](int i) {
    const auto& own = panel(i);
    for (int a = 0; a < n_main(); ++a)
      std::copy_n(fixed_[static_cast<std::size_t>(a)].data() + own.first_row, own.n_rows, at(a) + own.first_row);
    std::vector<double*> rows(main_of_.size());
    for (std::size_t column = 0; column < rows.size(); ++column) rows[column] = at(main_of_[column]) + own.first_row;
    add_random_parts(model_, own, u, rows.data());
    evaluate_panel(i, third);
  });
}

void JointDensities::products(const JointPattern& pattern, CrossProducts& to) const {
  to.set(pattern, [this](const model::Panel& panel, PairedColumns& own) { columns(panel, own); });
}

JointDensities::ClusterVisit JointDensities::leverages(const JointPattern& pattern, const Eigen::MatrixXd& lambda,
                                                       std::vector<std::vector<double>>& leverage) const {
  return PairLeverages(pattern, *this, lambda, leverage);
}

void JointDensities::set_fixed_part(const double* beta) {
  for (const auto& own : model_.panels()) {
    double* o = fixed_[0].data() + own.first_row;
    const double* offset = model_.family().is_linear() ? nullptr : model_.offset(own);
    for (int j = 0; j < own.n_rows; ++j) o[j] = offset ? offset[j] : 0.0;
    for (int k = 0; k < model_.p(); ++k) numeric::add_multiple(own.n_rows, beta[k], model_.fixed_column(own, k), o);
  }
}

}  // namespace multilevel::likelihood
